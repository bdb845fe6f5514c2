#include "plugins/main/bridge/bridge.hpp"

#include <linux/if.h>

#include <chrono>
#include <optional>

#include "pkg/attachment/interface.hpp"
#include "pkg/attachment/live_routes.hpp"
#include "pkg/attachment/veth.hpp"
#include "pkg/delegate/ipam.hpp"
#include "pkg/netfilter/mac_spoof_check.hpp"
#include "pkg/netfilter/masquerade.hpp"
#include "pkg/netlink/container_veth.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/neigh.hpp"
#include "pkg/netlink/new_link.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/os/sysctl.hpp"
#include "pkg/types/error.hpp"
#include "plugins/main/bridge/config.hpp"
#include "plugins/main/bridge/gateway.hpp"
#include "plugins/main/bridge/vlan.hpp"
#include "plugins/main/bridge/vlan_gateway.hpp"

namespace cni::bridge {
namespace {

// Positions in the result's interfaces.
constexpr std::size_t kHostInterface = 1;
constexpr std::size_t kContainerInterface = 2;
// As long as the reference waits in all; the kernel needs well under a millisecond.
constexpr std::chrono::milliseconds kPortDeadline{2550};

void create_bridge(netlink::Socket& host, const Config& config) {
  // The MAC address is set so that it never follows the ports: containers remember it as their
  // gateway's.
  const bool created = netlink::ensure_bridge(host, {.name = config.bridge,
                                                     .mtu = config.mtu,
                                                     .mac = Mac::random(),
                                                     .vlan_filtering = config.uses_vlans()});
  // Another ADD may have been faster, which is as good. A random address needs no detection of
  // duplicates, and while that ran the host would not solicit its containers for forwarded packets.
  if (created) os::try_write_sysctl({"net", "ipv6", "conf", config.bridge, "accept_dad"}, "0");
}

netlink::Link find_or_create_bridge(netlink::Socket& host, const Config& config) {
  auto found = netlink::find_link(host, config.bridge);
  if (!found) {
    require_kernel_vlans(host, config);
    create_bridge(host, config);
    found = netlink::get_link(host, config.bridge);
  }
  if (found->kind != "bridge") {
    throw Error(Code::kConflict, cat(quote(config.bridge), " already exists but is not a bridge"),
                cat("choose another name for bridge, or remove the ",
                    found->kind.empty() ? "device" : found->kind));
  }
  require_vlan_filtering(*found, config);
  return *std::move(found);
}

netlink::Link ensure_bridge(netlink::Socket& host, const Config& config) {
  netlink::Link bridge = find_or_create_bridge(host, config);
  // Before it goes up: a container's router advertisements must not configure the host
  // (CVE-2020-10749).
  os::try_write_sysctl({"net", "ipv6", "conf", config.bridge, "accept_ra"}, "0");
  netlink::LinkChange change;
  if (!bridge.is_up()) change.up = true;
  if (config.promisc_mode && (bridge.flags & IFF_PROMISC) == 0) change.promiscuous = true;
  if (change.up || change.promiscuous) {
    netlink::change_link(host, bridge.index, change, cat("set bridge ", config.bridge, " up"));
  }
  return bridge;
}

void attach_port(const skel::Request& request, const Config& config, netlink::Socket& host,
                 const netlink::Link& host_veth, const netlink::Link& bridge) {
  context(cat("failed to connect ", quote(host_veth.name), " to bridge ", bridge.name), [&] {
    netlink::attach_host_veth(host, host_veth, attachment::veth_owner(request), bridge.index);
    // A new port has both off.
    if (config.hairpin_mode || config.port_isolation) {
      netlink::set_bridge_port_flags(
          host, host_veth.index,
          {.hairpin = config.hairpin_mode, .isolated = config.port_isolation});
    }
    set_port_vlans(host, host_veth, config);
  });
}

netfilter::SpoofCheckSpec spoof_check_of(const skel::Request& request, std::string host_veth,
                                         Mac mac) {
  return {.network = request.config.name,
          .container_id = request.container_id,
          .ifname = request.ifname,
          .host_veth = std::move(host_veth),
          .mac = std::move(mac)};
}

delegate::InterfaceSetup interface_setup(const Config& config) {
  using AcceptDad = delegate::InterfaceSetup::AcceptDad;
  return {.dad = config.enable_dad ? netlink::Dad::kKernelDefault : netlink::Dad::kSkip,
          .notify_neighbours = true,
          .accept_dad = config.enable_dad ? AcceptDad::kOn : AcceptDad::kOff};
}

Result describe_interfaces(const skel::Request& request, const netlink::Link& bridge,
                           const netlink::ContainerVeth& veth) {
  Result result;
  result.interfaces = {{.name = bridge.name, .mac = bridge.mac.to_string()},
                       {.name = veth.host.name, .mac = veth.host.mac.to_string()},
                       {.name = veth.container.name,
                        .mac = veth.container.mac.to_string(),
                        .sandbox = request.netns}};
  return result;
}

// The IPAM result, with its gateways, on the container's interface.
void configure_layer3(const skel::Request& request, const Config& config, const ns::Netns& netns,
                      netlink::Socket& host, netlink::Socket& container,
                      const netlink::Link& bridge, const netlink::Link& container_link,
                      delegate::IpamAddition& ipam, Result& result, os::Undo& undo) {
  attachment::take_assigned(ipam.finish(), static_cast<int>(kContainerInterface), result);
  complete_gateways(config, result);
  delegate::configure_interface(netns, container, container_link, result, interface_setup(config));
  if (config.has_vlan_gateway()) {
    const netlink::Link gateway = ensure_vlan_gateway(host, bridge, config);
    ensure_gateways(host, gateway, config, result);
    result.interfaces.push_back({.name = gateway.name, .mac = gateway.mac.to_string()});
  } else if (config.is_gateway) {
    ensure_gateways(host, bridge, config, result);
  }
  if (config.ip_masq) {
    netfilter::add_masquerade(attachment::masquerade_spec(request, config.ip_masq_backend, &result),
                              undo);
  }
}

void wait_for_port(netlink::Socket& host, const netlink::Link& host_veth) {
  const auto state = netlink::wait_until_up(host, host_veth.index, kPortDeadline);
  if (state == netlink::OperState::kUp) return;
  throw Error(
      Code::kTryAgainLater,
      cat("bridge port in error state: ", state ? netlink::to_string(*state) : "it is gone"),
      cat("port ", host_veth.name));
}

Result add(const skel::Request& request, os::Undo& undo) {
  const Config config = parse(request);
  const ns::Netns netns = ns::Netns::open(request.netns);
  netlink::Socket host = netlink::Socket::open();
  netlink::Socket container = netlink::Socket::open_in(netns);
  std::optional<delegate::IpamAddition> ipam;
  if (!request.config.ipam_type.empty()) ipam.emplace(request);

  netlink::Link bridge = ensure_bridge(host, config);
  push_gateway_removal(config, undo);  // runs when the port is gone again
  const netlink::ContainerVeth veth =
      attachment::add_veth(request, config.mac, config.mtu, host, container, undo);
  if (ipam) ipam->begin(undo);
  attach_port(request, config, host, veth.host, bridge);
  if (config.mac_spoof_check) {
    netfilter::add_mac_spoof_check(spoof_check_of(request, veth.host.name, veth.container.mac),
                                   undo);
  }
  // Read back last: a bridge that somebody else made may have taken the new port's address.
  bridge = netlink::get_link(host, bridge.index);
  Result result = describe_interfaces(request, bridge, veth);
  if (ipam) {
    configure_layer3(request, config, netns, host, container, bridge, veth.container, *ipam, result,
                     undo);
  } else if (!config.disable_container_interface) {
    netlink::set_up(container, veth.container.index);
  }
  if (!config.disable_container_interface) {
    wait_for_port(host, veth.host);
    (void)netlink::announce_addresses(container, veth.container);
  }
  if (request.config.dns) result.dns = *request.config.dns;
  return result;
}

// Port and MAC address as ADD reported them; without prevResult they are unknown and found by
// listing.
netfilter::SpoofCheckSpec reported_spoof_check(const skel::Request& request) {
  std::string host_veth;
  Mac mac;
  const Result* prev_result = request.config.prev_result();
  if (prev_result != nullptr && prev_result->interfaces.size() > kContainerInterface) {
    host_veth = prev_result->interfaces[kHostInterface].name;
    mac = Mac::parse(prev_result->interfaces[kContainerInterface].mac).value_or(Mac{});
  }
  return spoof_check_of(request, std::move(host_veth), std::move(mac));
}

void del(const skel::Request& request) {
  netfilter::Connection connection;
  ErrorList errors;
  VlanUse vlans;
  errors.run([&] { vlans = vlan_use(request); });
  errors.run([&] { attachment::remove_masquerade(request, connection); });
  errors.run([&] { netfilter::remove_mac_spoof_check(reported_spoof_check(request), connection); });
  delegate::ipam_del_with_link(request, errors, [&] {
    errors.run([&] { attachment::remove_veth(request); });
    errors.run([&] { remove_unused_gateways(vlans); });
  });
  errors.throw_if_any();
}

void check_bridge(const netlink::Link& bridge, const Config& config, const Result& expected) {
  if (bridge.kind != "bridge") {
    throw Error(Code::kCheckFailed, cat("Interface ", bridge.name, " is not a bridge"));
  }
  for (const Interface& interface : expected.interfaces) {
    const bool is_bridge = interface.name == bridge.name && interface.sandbox.empty();
    if (!is_bridge || interface.mac.empty() || interface.mac == bridge.mac.to_string()) continue;
    throw Error(Code::kCheckFailed,
                cat("Bridge ", bridge.name, " Mac doesn't match: ", interface.mac,
                    " in prevResult, ", bridge.mac.to_string(), " in the kernel"));
  }
  if (config.promisc_mode && bridge.promiscuity == 0) {
    throw Error(Code::kCheckFailed, cat("Bridge ", bridge.name, " is not promiscuous"));
  }
}

netlink::Link check_port(netlink::Socket& host, const netlink::Link& bridge, const Config& config,
                         const netlink::Link& container_link) {
  const auto port = netlink::find_link(host, container_link.parent);
  if (!port || port->kind != "veth" || port->master != bridge.index) {
    throw Error(Code::kCheckFailed,
                cat("CNI veth created for bridge ", bridge.name, " was not found"),
                port ? cat(port->name, " is not a port of it") : "");
  }
  if (port->hairpin.value_or(false) != config.hairpin_mode) {
    throw Error(Code::kCheckFailed,
                cat("hairpin mode of port ", port->name, " does not match hairpinMode"));
  }
  if (port->isolated.value_or(false) != config.port_isolation) {
    throw Error(Code::kCheckFailed,
                cat("isolation of port ", port->name, " does not match portIsolation"));
  }
  return *port;
}

void check(const skel::Request& request) {
  const Config config = parse(request);
  const Interface& expected = delegate::expected_interface(request);
  const Result& result = *request.config.prev_result();
  delegate::ipam_check(request);

  netlink::Socket host = netlink::Socket::open();
  netlink::Socket container = netlink::Socket::open_in(ns::Netns::open(request.netns));
  const netlink::Link bridge = netlink::get_link(host, config.bridge);
  check_bridge(bridge, config, result);
  const netlink::Link container_link = attachment::check_link(container, expected, "veth");
  const netlink::Link port = check_port(host, bridge, config, container_link);
  check_port_vlans(host, bridge, port, config);
  if (config.mac_spoof_check) {
    netfilter::check_mac_spoof_check(spoof_check_of(request, port.name, container_link.mac));
  }
  if (request.config.ipam_type.empty()) return;
  delegate::check_addresses(container, container_link, result);
  delegate::check_routes(container, container_link, result);
  if (config.has_vlan_gateway()) {
    check_gateways(host, check_vlan_gateway(host, bridge, config, result), result);
  } else if (config.is_gateway) {
    check_gateways(host, bridge, result);
  }
  if (config.ip_masq) {
    netfilter::check_masquerade(
        attachment::masquerade_spec(request, config.ip_masq_backend, &result));
  }
}

// By what ADD reported, not by what the container has now: it must not choose the MAC address that
// it may use.
void restore_mac_spoof_check(const skel::Request& request, skel::Restoration& restoration) {
  netlink::Socket container = netlink::Socket::open_in(ns::Netns::open(request.netns));
  const Interface& expected = delegate::expected_interface(request);
  const netlink::Link link = netlink::get_link(container, expected.name);
  netlink::Socket host = netlink::Socket::open();
  const auto port = netlink::find_link(host, link.parent);
  const auto mac = Mac::parse(expected.mac);
  if (!port || port->kind != "veth" || !mac) {
    throw Error(Code::kCheckFailed, cat("the host end of ", link.name, " was not found"));
  }
  const netfilter::SpoofCheckSpec spec = spoof_check_of(request, port->name, *mac);
  restoration.ensure(
      "MAC spoof check", [&] { netfilter::check_mac_spoof_check(spec); },
      [&](os::Undo& undo) { netfilter::add_mac_spoof_check(spec, undo); });
}

void reconcile(const skel::Request& request, skel::Restoration& restoration) {
  const Config config = parse(request);
  if (config.ip_masq) {
    attachment::restore_masquerade(request, config.ip_masq_backend, restoration);
  }
  if (config.mac_spoof_check) restore_mac_spoof_check(request, restoration);
}

void status(const skel::Request& request) {
  const Config config = parse(request);
  netlink::Socket host = netlink::Socket::open();
  attachment::require_link_kinds(host, {"bridge", "veth"});
  const auto link = netlink::find_link(host, config.bridge);
  if (link && link->kind != "bridge") {
    throw Error(Code::kPluginNotAvailable,
                cat(quote(config.bridge), " already exists but is not a bridge"));
  }
  check_vlan_status(host, link ? &*link : nullptr, config);
  if (config.ip_masq) {
    attachment::probe_masquerade(request, config.ip_masq_backend);
  }
  delegate::ipam_status(request);
}

void gc(const skel::Request& request) {
  ErrorList errors;
  errors.run([&] { attachment::gc_masquerade(request); });
  errors.run([&] {
    netfilter::gc_mac_spoof_check(request.config.name, request.config.valid_attachments);
  });
  errors.run([&] { attachment::gc_veths(request); });
  errors.run([&] { remove_unused_gateways(vlan_use(request)); });
  errors.run([&] { delegate::ipam_gc(request); });
  errors.throw_if_any();
}

}  // namespace

const skel::Plugin plugin{.name = "bridge",
                          .add = add,
                          .del = del,
                          .check = check,
                          .status = status,
                          .gc = gc,
                          .reconcile = reconcile,
                          .update = &attachment::kRouteUpdate,
                          .description = &kDescription};

}  // namespace cni::bridge
