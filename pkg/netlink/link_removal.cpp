// Deleting links without the wait at its end: the kernel takes a link out of its namespace within a
// millisecond and announces it; then the one who asked waits for all CPUs (rcu_barrier in
// netdev_run_todo), 15 to 25 ms with nothing locked, so that its memory can be freed.
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/message.hpp"
#include "pkg/types/error.hpp"

namespace cni::netlink {
namespace {

struct Removed {
  LinkIndex index;
  std::string name;
};

// A port that leaves its bridge is announced by the same kind of message, of family AF_BRIDGE.
std::optional<Removed> removal_in(const nlmsghdr* notification) {
  if (notification->nlmsg_type != RTM_DELLINK) return std::nullopt;
  const auto body = body_of<ifinfomsg>(notification);
  if (body.ifi_family != AF_UNSPEC) return std::nullopt;
  const Attributes attributes(notification, sizeof(ifinfomsg), IFLA_MAX);
  return Removed{LinkIndex{body.ifi_index}, attributes.text(IFLA_IFNAME)};
}

// What belongs to the link, as its peer, goes under the same lock (RTNL) after it was announced. A
// request that takes the lock finds all of it gone.
void wait_for_lock(Socket& socket, LinkIndex removed) {
  Message message(RTM_SETLINK, 0);
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(removed);
  message.header(header);
  try {
    socket.request(message, "wait for the end of a deletion");
  } catch (const Error& error) {
    if (error.sys_errno != ENODEV) throw;
  }
}

bool remove(Socket& socket, Message& message, std::string_view operation,
            const std::function<bool(const Removed&)>& is_ours) {
  std::optional<LinkIndex> announced;
  const auto note = [&](const nlmsghdr* notification) {
    const auto removed = removal_in(notification);
    if (!removed || !is_ours(*removed)) return false;
    announced = removed->index;
    return true;
  };
  try {
    const bool is_known = socket.request_until(message, operation, RTNLGRP_LINK, note);
    if (announced) {
      wait_for_lock(socket, *announced);
      return true;
    }
    if (is_known) return true;
  } catch (const Error& error) {
    if (error.sys_errno == ENODEV) return false;
    throw;
  }
  try {
    socket.request(message, operation);
  } catch (const Error& error) {
    if (error.sys_errno != ENODEV) throw;
  }
  return true;  // if not by this request then by the one before
}

}  // namespace

bool remove_link(Socket& socket, LinkIndex index) {
  Message message(RTM_DELLINK, 0);
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(index);
  message.header(header);
  return remove(socket, message, cat("delete link with index ", static_cast<int>(index)),
                [index](const Removed& removed) { return removed.index == index; });
}

bool remove_link(Socket& socket, std::string_view name) {
  check_link_name(name);
  Message message(RTM_DELLINK, 0);
  message.header(ifinfomsg{}).put_string(IFLA_IFNAME, name);
  return remove(socket, message, cat("delete link ", name),
                [name](const Removed& removed) { return removed.name == name; });
}

}  // namespace cni::netlink
