#include "plugins/main/ptp/ptp.hpp"

#include <algorithm>
#include <cerrno>

#include "pkg/attachment/interface.hpp"
#include "pkg/attachment/live_routes.hpp"
#include "pkg/attachment/veth.hpp"
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

Result assign_addresses(const skel::Request& request, const netlink::ContainerVeth& veth,
                        delegate::IpamAddition& ipam) {
  Result result = ipam.finish();
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
  std::vector<Ip> addresses;
  for (const IpConfig& ip : result.ips) addresses.push_back(ip.address.address);
  attachment::enable_forwarding(addresses);
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
  delegate::IpamAddition ipam(request);

  const netlink::ContainerVeth veth =
      attachment::add_veth(request, {}, config.mtu, host, container, undo);
  ipam.begin(undo);
  netlink::attach_host_veth(host, veth.host, attachment::veth_owner(request));
  Result result = assign_addresses(request, veth, ipam);
  enable_forwarding(result);
  configure_container(netns, container, veth.container, result);
  configure_host(host, veth.host, result);
  if (config.ip_masq) {
    netfilter::add_masquerade(attachment::masquerade_spec(request, config.ip_masq_backend, &result),
                              undo);
  }
  (void)netlink::announce_addresses(container, veth.container);
  if (request.config.dns) result.dns = *request.config.dns;
  return result;
}

void del(const skel::Request& request) {
  netfilter::Connection connection;
  ErrorList errors;
  errors.run([&] { attachment::remove_masquerade(request, connection); });
  delegate::ipam_del_with_link(request, errors, [&] { attachment::remove_veth(request); });
  errors.throw_if_any();
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
  const Result& result = *request.config.prev_result();
  delegate::ipam_check(request);

  netlink::Socket host = netlink::Socket::open();
  netlink::Socket container = netlink::Socket::open_in(ns::Netns::open(request.netns));
  const netlink::Link link = attachment::check_link(container, expected, "veth");
  delegate::check_addresses(container, link, result);
  delegate::check_routes(container, link, result);
  check_host(host, link, result);
  if (config.ip_masq) {
    netfilter::check_masquerade(
        attachment::masquerade_spec(request, config.ip_masq_backend, &result));
  }
}

void reconcile(const skel::Request& request, skel::Restoration& restoration) {
  const Config config = parse(request);
  if (config.ip_masq) {
    attachment::restore_masquerade(request, config.ip_masq_backend, restoration);
  }
}

void status(const skel::Request& request) {
  const Config config = parse(request);
  delegate::check_type(request.config.ipam_type);
  netlink::Socket host = netlink::Socket::open();
  attachment::require_link_kinds(host, {"veth"});
  if (config.ip_masq) {
    attachment::probe_masquerade(request, config.ip_masq_backend);
  }
  delegate::ipam_status(request);
}

void gc(const skel::Request& request) {
  ErrorList errors;
  errors.run([&] { attachment::gc_masquerade(request); });
  errors.run([&] { attachment::gc_veths(request); });
  errors.run([&] { delegate::ipam_gc(request); });
  errors.throw_if_any();
}

}  // namespace

const skel::Plugin plugin{.name = "ptp",
                          .add = add,
                          .del = del,
                          .check = check,
                          .status = status,
                          .gc = gc,
                          .reconcile = reconcile,
                          .update = &attachment::kRouteUpdate,
                          .description = &kDescription};

}  // namespace cni::ptp
