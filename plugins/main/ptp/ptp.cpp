#include "plugins/main/ptp/ptp.hpp"

#include <algorithm>
#include <cerrno>

#include "pkg/delegate/delegate.hpp"
#include "pkg/delegate/ipam.hpp"
#include "pkg/netfilter/masquerade.hpp"
#include "pkg/netlink/addr.hpp"
#include "pkg/netlink/container_veth.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/neigh.hpp"
#include "pkg/netlink/route.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/os/sysctl.hpp"
#include "pkg/types/error.hpp"
#include "plugins/main/ptp/config.hpp"

namespace cni::ptp {
namespace {

// Position in the result's interfaces; the host end is 0.
constexpr int kContainerInterface = 1;

netlink::VethOwner owner_of(const skel::Request& request) {
  return {.network = request.config.name,
          .container_id = request.container_id,
          .ifname = request.ifname};
}

netfilter::MasqueradeSpec masquerade_of(const skel::Request& request, std::string backend,
                                        const Result* result) {
  netfilter::MasqueradeSpec spec{
      .network = request.config.name,
      .container_id = request.container_id,
      .ifname = request.ifname,
      .addresses = {},
      .backend = std::move(backend),
      .search_path = skel::environment_value(request.environment, "PATH")};
  if (result == nullptr) return spec;
  for (const IpConfig& ip : result->ips) spec.addresses.push_back(ip.address);
  return spec;
}

netlink::ContainerVeth add_veth(const skel::Request& request, const Config& config,
                                netlink::Socket& host, netlink::Socket& container, os::Undo& undo) {
  const auto remove = [path = request.netns, ifname = request.ifname] {
    const auto netns = ns::Netns::find(path);
    if (!netns) return;
    netlink::Socket socket = netlink::Socket::open_in(*netns);
    (void)netlink::remove_link(socket, ifname);
  };
  netlink::ContainerVeth veth =
      netlink::add_container_veth(host, ns::Netns::current(), container,
                                  {.owner = owner_of(request), .mac = {}, .mtu = config.mtu},
                                  [&] { undo.push(cat("delete link ", request.ifname), remove); });
  netlink::attach_host_veth(host, veth.host, owner_of(request));
  return veth;
}

Result assign_addresses(const skel::Request& request, const netlink::ContainerVeth& veth,
                        os::Undo& undo) {
  Result result = delegate::ipam_add(request, undo);
  result.interfaces = {{.name = veth.host.name, .mac = veth.host.mac.to_string()},
                       {.name = veth.container.name,
                        .mac = veth.container.mac.to_string(),
                        .sandbox = request.netns}};
  for (IpConfig& ip : result.ips) {
    ip.interface = kContainerInterface;
    if (ip.gateway) continue;
    throw Error(Code::kInvalidNetworkConfig,
                cat("address ", ip.address.to_string(),
                    " has no gateway; ptp needs one as the address of the host end"),
                "set a gateway in the ipam section");
  }
  return result;
}

void enable_forwarding(const Result& result) {
  const auto has = [&](bool ipv4) {
    return std::any_of(result.ips.begin(), result.ips.end(),
                       [&](const IpConfig& ip) { return ip.address.address.is_ipv4() == ipv4; });
  };
  context("could not enable IP forwarding", [&] {
    if (has(true)) os::write_sysctl({"net", "ipv4", "ip_forward"}, "1");
    if (has(false)) os::write_sysctl({"net", "ipv6", "conf", "all", "forwarding"}, "1");
  });
}

// The subnet is not on this link: everything but the gateway is reached through the gateway.
void route_through_gateway(netlink::Socket& container, const netlink::Link& link,
                           const IpConfig& ip) {
  (void)netlink::remove_route(container, {.destination = ip.address, .link = link.index});
  netlink::Route to_gateway{.destination = Prefix::host(*ip.gateway),
                            .source = ip.address.address,
                            .link = link.index,
                            .scope = netlink::kScopeLink};
  netlink::add_route(container, to_gateway);
  netlink::Route to_subnet{.destination = ip.address,
                           .gateway = ip.gateway,
                           .source = ip.address.address,
                           .link = link.index};
  netlink::add_route(container, to_subnet);
}

void configure_container(const ns::Netns& netns, netlink::Socket& container,
                         const netlink::Link& link, const Result& result) {
  // The link has no neighbour but the host, so nobody else can have the address.
  delegate::configure_interface(netns, container, link, result,
                                {.dad = netlink::Dad::kSkip,
                                 .notify_neighbours = true,
                                 .accept_dad = delegate::InterfaceSetup::AcceptDad::kOff});
  for (const IpConfig& ip : result.ips) route_through_gateway(container, link, ip);
}

// EEXIST: two addresses of a container can have the same gateway.
template <class Fn>
void tolerate_existing(Fn&& fn) {
  try {
    fn();
  } catch (const Error& error) {
    if (error.sys_errno != EEXIST) throw;
  }
}

void configure_host(netlink::Socket& host, const netlink::Link& veth, const Result& result) {
  for (const IpConfig& ip : result.ips) {
    tolerate_existing([&] {
      netlink::add_address(host, veth.index, Prefix::host(*ip.gateway), netlink::Dad::kSkip);
    });
    tolerate_existing([&] {
      netlink::add_route(host, {.destination = Prefix::host(ip.address.address),
                                .link = veth.index,
                                .scope = netlink::kScopeHost});
    });
  }
}

Result add(const skel::Request& request, os::Undo& undo) {
  const Config config = parse(request);
  delegate::check_type(request.config.ipam_type);
  const ns::Netns netns = ns::Netns::open(request.netns);
  netlink::Socket host = netlink::Socket::open();
  netlink::Socket container = netlink::Socket::open_in(netns);

  const netlink::ContainerVeth veth = add_veth(request, config, host, container, undo);
  Result result = assign_addresses(request, veth, undo);
  enable_forwarding(result);
  configure_container(netns, container, veth.container, result);
  configure_host(host, veth.host, result);
  if (config.ip_masq) {
    netfilter::add_masquerade(masquerade_of(request, config.ip_masq_backend, &result), undo);
  }
  (void)netlink::announce_addresses(container, veth.container);
  if (request.config.dns) result.dns = *request.config.dns;
  return result;
}

void remove_veth(const skel::Request& request) {
  if (const auto netns = ns::Netns::find(request.netns)) {
    netlink::Socket container = netlink::Socket::open_in(*netns);
    if (netlink::remove_link(container, request.ifname)) return;
  }
  netlink::Socket host = netlink::Socket::open();
  (void)netlink::remove_host_veth(host, owner_of(request));
}

void del(const skel::Request& request) {
  const Result* prev_result = request.config.prev_result ? &*request.config.prev_result : nullptr;
  ErrorList errors;
  errors.run([&] { netfilter::remove_masquerade(masquerade_of(request, {}, prev_result)); });
  errors.run([&] { remove_veth(request); });
  errors.run([&] { delegate::ipam_del(request); });
  errors.throw_if_any();
}

netlink::Link check_container_link(netlink::Socket& container, const Interface& expected) {
  const auto link = netlink::find_link(container, expected.name);
  if (!link) {
    throw Error(Code::kCheckFailed,
                cat("ptp: Container Interface name in prevResult: ", expected.name, " not found"));
  }
  if (link->kind != "veth") {
    throw Error(Code::kCheckFailed,
                cat("ptp: Container interface ", link->name, " not of type veth"));
  }
  if (!expected.mac.empty() && expected.mac != link->mac.to_string()) {
    throw Error(Code::kCheckFailed,
                cat("ptp: Interface ", link->name, " Mac ", link->mac.to_string(),
                    " doesn't match container mac: ", expected.mac));
  }
  return *link;
}

void check_host(netlink::Socket& host, const netlink::Link& container_link,
                const Result& expected) {
  const auto veth = netlink::find_link(host, container_link.parent);
  if (!veth || veth->kind != "veth") {
    throw Error(Code::kCheckFailed, cat("ptp: host end of ", container_link.name, " not found"));
  }
  const auto present = netlink::list_addresses(host, veth->index);
  for (const IpConfig& ip : expected.ips) {
    if (!ip.gateway) continue;
    const bool found =
        std::any_of(present.begin(), present.end(), [&](const netlink::Address& address) {
          return address.prefix == Prefix::host(*ip.gateway);
        });
    if (found) continue;
    throw Error(Code::kCheckFailed,
                cat("ptp: gateway address ", ip.gateway->to_string(), " is not on ", veth->name));
  }
}

void check(const skel::Request& request) {
  const Config config = parse(request);
  delegate::check_type(request.config.ipam_type);
  const Interface& expected = delegate::expected_interface(request);
  const Result& result = *request.config.prev_result;
  delegate::ipam_check(request);

  netlink::Socket host = netlink::Socket::open();
  netlink::Socket container = netlink::Socket::open_in(ns::Netns::open(request.netns));
  const netlink::Link link = check_container_link(container, expected);
  delegate::check_addresses(container, link, result);
  delegate::check_routes(container, link, result);
  check_host(host, link, result);
  if (config.ip_masq) {
    netfilter::check_masquerade(masquerade_of(request, config.ip_masq_backend, &result));
  }
}

void status(const skel::Request& request) {
  const Config config = parse(request);
  delegate::check_type(request.config.ipam_type);
  netlink::Socket host = netlink::Socket::open();
  if (!netlink::kernel_has_link_kind(host, "veth")) {
    throw Error(Code::kPluginNotAvailable, "the kernel has no veth support");
  }
  if (config.ip_masq) {
    netfilter::probe_masquerade(config.ip_masq_backend,
                                skel::environment_value(request.environment, "PATH"));
  }
  delegate::ipam_status(request);
}

void gc(const skel::Request& request) {
  const std::string& network = request.config.name;
  const std::vector<Attachment>& valid = request.config.valid_attachments;
  ErrorList errors;
  errors.run([&] {
    netfilter::gc_masquerade(network, valid, skel::environment_value(request.environment, "PATH"));
  });
  errors.run([&] {
    netlink::Socket host = netlink::Socket::open();
    netlink::remove_stale_host_veths(host, network, valid);
  });
  errors.run([&] { delegate::ipam_gc(request); });
  errors.throw_if_any();
}

}  // namespace

const skel::Plugin plugin{
    .name = "ptp", .add = add, .del = del, .check = check, .status = status, .gc = gc};

}  // namespace cni::ptp
