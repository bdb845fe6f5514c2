#include "plugins/main/loopback/loopback.hpp"

#include "pkg/netlink/addr.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/types/error.hpp"

namespace cni::loopback {
namespace {

constexpr std::string_view kName = "lo";  // whatever CNI_IFNAME says

void set_up(const ns::Netns& netns, netlink::Socket& container, const netlink::Link& lo,
            os::Undo& undo) {
  if (lo.is_up()) return;
  netlink::set_up(container, lo.index);
  undo.push("set lo down", [path = netns.path(), index = lo.index] {
    const auto again = ns::Netns::find(path);
    if (!again) return;
    netlink::Socket socket = netlink::Socket::open_in(*again);
    netlink::set_down(socket, index);
  });
}

// The first address of each family; an address that is not loopback means that this is not a
// loopback interface's job.
std::vector<IpConfig> loopback_addresses(netlink::Socket& container, const netlink::Link& lo) {
  std::vector<IpConfig> out;
  for (const netlink::Address& address : netlink::list_addresses(container, lo.index)) {
    const Ip& ip = address.prefix.address;
    if (!ip.is_loopback()) {
      throw Error(Code::kConflict, cat("loopback interface found with non-loopback address ",
                                       quote(address.prefix.to_string())));
    }
    const bool family_seen = !out.empty() && out.back().address.address.family() == ip.family();
    if (!family_seen) out.push_back({.interface = 0, .address = address.prefix, .gateway = {}});
  }
  return out;
}

Result add(const skel::Request& request, os::Undo& undo) {
  const Result* prev_result = request.config.prev_result();
  const ns::Netns netns = ns::Netns::open(request.netns);
  netlink::Socket container = netlink::Socket::open_in(netns);
  const netlink::Link lo = netlink::get_link(container, kName);
  set_up(netns, container, lo, undo);
  std::vector<IpConfig> addresses = loopback_addresses(container, lo);
  if (prev_result != nullptr) return *prev_result;

  Result result;
  result.interfaces.push_back(
      {.name = lo.name, .mac = lo.mac.to_string(), .sandbox = request.netns});
  result.ips = std::move(addresses);
  return result;
}

void del(const skel::Request& request) {
  const auto netns = ns::Netns::find(request.netns);
  if (!netns) return;
  netlink::Socket container = netlink::Socket::open_in(*netns);
  const auto lo = netlink::find_link(container, kName);
  if (lo) netlink::set_down(container, lo->index);
}

void check(const skel::Request& request) {
  const ns::Netns netns = ns::Netns::open(request.netns);
  netlink::Socket container = netlink::Socket::open_in(netns);
  if (netlink::get_link(container, kName).is_up()) return;
  throw Error(Code::kCheckFailed, "loopback interface is down");
}

constexpr schema::Description kDescription{.about = "Sets lo up in the container."};

}  // namespace

const skel::Plugin plugin{
    .name = "loopback", .add = add, .del = del, .check = check, .description = &kDescription};

}  // namespace cni::loopback
