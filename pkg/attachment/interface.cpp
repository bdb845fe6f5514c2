#include "pkg/attachment/interface.hpp"

#include <algorithm>

#include "pkg/ns/netns.hpp"
#include "pkg/os/sysctl.hpp"
#include "pkg/types/error.hpp"

namespace cni::attachment {
namespace {

bool remove_link_in(const std::string& netns_path, const std::string& ifname) {
  const auto netns = ns::Netns::find(netns_path);
  if (!netns) return false;
  netlink::Socket container = netlink::Socket::open_in(*netns);
  return netlink::remove_link(container, ifname);
}

}  // namespace

void push_link_removal(const skel::Request& request, os::Undo& undo) {
  undo.push(cat("delete link ", request.ifname),
            [path = request.netns, name = request.ifname] { (void)remove_link_in(path, name); });
}

bool remove_link(const skel::Request& request) {
  return remove_link_in(request.netns, request.ifname);
}

netlink::Link check_link(netlink::Socket& container, const Interface& expected,
                         std::string_view kind) {
  auto link = netlink::find_link(container, expected.name);
  if (!link) {
    throw Error(Code::kCheckFailed,
                cat("Container Interface name in prevResult: ", expected.name, " not found"));
  }
  if (link->kind != kind) {
    throw Error(Code::kCheckFailed,
                cat("Error: Container interface ", link->name, " not of type ", kind));
  }
  if (!expected.mac.empty() && expected.mac != link->mac.to_string()) {
    throw Error(Code::kCheckFailed, cat("Interface ", link->name, " Mac ", link->mac.to_string(),
                                        " doesn't match container mac: ", expected.mac));
  }
  return *std::move(link);
}

void enable_forwarding(const std::vector<Ip>& addresses) {
  const auto has = [&](bool ipv4) {
    return std::any_of(addresses.begin(), addresses.end(),
                       [ipv4](const Ip& ip) { return ip.is_ipv4() == ipv4; });
  };
  context("failed to enable forwarding", [&] {
    if (has(true)) os::write_sysctl({"net", "ipv4", "ip_forward"}, "1");
    if (has(false)) os::write_sysctl({"net", "ipv6", "conf", "all", "forwarding"}, "1");
  });
}

void take_assigned(Result assigned, int interface, Result& result) {
  result.ips = std::move(assigned.ips);
  result.routes = std::move(assigned.routes);
  result.dns = std::move(assigned.dns);
  for (IpConfig& ip : result.ips) ip.interface = interface;
}

}  // namespace cni::attachment
