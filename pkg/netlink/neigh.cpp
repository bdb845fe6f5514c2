#include "pkg/netlink/neigh.hpp"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "pkg/netlink/message.hpp"
#include "pkg/types/error.hpp"

namespace cni::netlink {
namespace {

Message neighbour_message(int type, int flags, const Neighbour& neighbour) {
  ndmsg header{};
  header.ndm_family = neighbour.address.is_ipv4() ? AF_INET : AF_INET6;
  header.ndm_ifindex = static_cast<int>(neighbour.link);
  header.ndm_state = NUD_PERMANENT;
  Message message(type, flags);
  message.header(header).put_ip(NDA_DST, neighbour.address);
  if (!neighbour.mac.empty()) message.put_mac(NDA_LLADDR, neighbour.mac);
  return message;
}

}  // namespace

void set_neighbour(Socket& socket, const Neighbour& neighbour) {
  Message message = neighbour_message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, neighbour);
  socket.request(message, cat("set neighbour ", neighbour.address.to_string()));
}

bool remove_neighbour(Socket& socket, const Neighbour& neighbour) {
  Message message = neighbour_message(RTM_DELNEIGH, 0, neighbour);
  try {
    socket.request(message, cat("delete neighbour ", neighbour.address.to_string()));
    return true;
  } catch (const Error& error) {
    if (error.sys_errno == ENOENT || error.sys_errno == ENODEV) return false;
    throw;
  }
}

bool announce_addresses(Socket& socket, const Link& link) {
  LinkChange same;
  same.mac = link.mac;
  try {
    change_link(socket, link.index, same, cat("announce the addresses of ", link.name));
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace cni::netlink
