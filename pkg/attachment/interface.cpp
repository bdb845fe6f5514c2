#include "pkg/attachment/interface.hpp"

#include <algorithm>

#include "pkg/delegate/ipam.hpp"
#include "pkg/netlink/neigh.hpp"
#include "pkg/netlink/new_link.hpp"
#include "pkg/os/sysctl.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/hash.hpp"

namespace cni::attachment {
namespace {

constexpr std::size_t kBirthNameLength = 12;  // "veth" and eight digits, as the reference has it

bool remove_link_in(const std::string& netns_path, const std::string& ifname,
                    const std::string& born_as) {
  const auto netns = ns::Netns::find(netns_path);
  if (!netns) return false;
  netlink::Socket container = netlink::Socket::open_in(*netns);
  return netlink::remove_link(container, ifname) || netlink::remove_link(container, born_as);
}

}  // namespace

std::string birth_name(const skel::Request& request) {
  return hashed_name("veth", cat(request.container_id, ':', request.ifname), kBirthNameLength);
}

void push_link_removal(const skel::Request& request, os::Undo& undo) {
  undo.push(cat("delete link ", request.ifname),
            [path = request.netns, name = request.ifname, born_as = birth_name(request)] {
              (void)remove_link_in(path, name, born_as);
            });
}

bool remove_link(const skel::Request& request) {
  return remove_link_in(request.netns, request.ifname, birth_name(request));
}

netlink::Link check_link(netlink::Socket& container, const Interface& expected,
                         std::optional<std::string_view> kind) {
  auto link = netlink::find_link(container, expected.name);
  if (!link) {
    throw Error(Code::kCheckFailed,
                cat("Container Interface name in prevResult: ", expected.name, " not found"));
  }
  if (kind && link->kind != *kind) {
    throw Error(Code::kCheckFailed,
                cat("Error: Container interface ", link->name, " not of type ", *kind));
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

Result describe_link(const skel::Request& request, const netlink::Link& link) {
  Result result;
  result.interfaces = {{.name = link.name, .mac = link.mac.to_string(), .sandbox = request.netns}};
  return result;
}

void bring_up(const ns::Netns& netns, netlink::Socket& container, const netlink::Link& link,
              const Result& result) {
  if (result.ips.empty()) {
    netlink::set_up(container, link.index);
    return;
  }
  delegate::configure_interface(netns, container, link, result,
                                {.dad = netlink::Dad::kKernelDefault, .notify_neighbours = true});
  (void)netlink::announce_addresses(container, link);
}

void remove_link_and_addresses(const skel::Request& request) {
  ErrorList errors;
  delegate::ipam_del_with_link(request, errors, [&] { (void)remove_link(request); });
  errors.throw_if_any();
}

void require_available(const std::function<void()>& fn) {
  try {
    fn();
  } catch (Error& error) {
    error.code = Code::kPluginNotAvailable;
    throw;
  }
}

void require_link_kinds(netlink::Socket& host, std::initializer_list<std::string_view> kinds) {
  require_available([&] {
    for (const std::string_view kind : kinds) netlink::require_link_kind(host, kind);
  });
}

}  // namespace cni::attachment
