#include "plugins/main/bridge/vlan_gateway.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>

#include "pkg/attachment/veth.hpp"
#include "pkg/netlink/container_veth.hpp"
#include "pkg/netlink/new_link.hpp"
#include "pkg/os/file.hpp"
#include "pkg/os/lock.hpp"
#include "pkg/os/sysctl.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/hash.hpp"
#include "plugins/main/bridge/vlan.hpp"

namespace cni::bridge {
namespace {

using netlink::Link;
using netlink::LinkIndex;
using netlink::VlanRange;

constexpr unsigned kMaxNames = 10;
constexpr std::size_t kPortNameLength = 12;  // "veth" and eight digits
constexpr std::chrono::milliseconds kPortDeadline{2550};

// Only one process at a time looks at a bridge's gateways to make or remove one. The kernel drops
// the lock when its holder dies. A file that root alone can open: locks that other users could take
// would let them stop every ADD.
os::FileLock lock_gateways(const std::string& bridge) {
  const std::string folder = cat("/run/cni/bridge/", bridge);
  os::make_directories(folder);
  return os::FileLock(folder + "/lock");
}

// The end at the bridge is named after the pair's purpose, so that a repeated ADD meets what a
// killed one made. No container's end has the same: their ids have no slash.
std::string port_name(const std::string& gateway, unsigned attempt) {
  std::string seed = cat("gateway/", gateway);
  if (attempt != 0) seed += cat('/', attempt);
  return hashed_name("veth", seed, kPortNameLength);
}

// The form of the names that this plugin and the reference give; a pair that an administrator made
// has others, and is used but never removed.
bool is_plugin_name(std::string_view name) {
  return name.size() == kPortNameLength && name.starts_with("veth") &&
         name.find_first_not_of("0123456789abcdef", 4) == std::string_view::npos;
}

std::vector<VlanRange> access_vlan(int vlan) {
  const auto id = static_cast<std::uint16_t>(vlan);
  return {{.first = id, .last = id, .pvid = true, .untagged = true}};
}

Error is_something_else(const Link& link, int vlan, std::string_view bridge,
                        std::string_view reason) {
  return {Code::kConflict,
          cat(quote(link.name), " already exists but is not the gateway of VLAN ", vlan,
              " of bridge ", quote(bridge)),
          cat(reason, "; remove it, or choose another name for bridge"), EEXIST};
}

std::optional<VlanGateway> find_gateway(netlink::Socket& host, const Link* bridge,
                                        const std::string& bridge_name, int vlan) {
  auto link = netlink::find_link(host, gateway_name(bridge_name, vlan));
  if (!link) return std::nullopt;
  if (link->kind != "veth" || link->parent_netns_id) {
    const std::string kind = link->kind.empty() ? "a device" : cat("a link of type ", link->kind);
    throw is_something_else(*link, vlan, bridge_name,
                            link->kind == "veth" ? "its other end is in another network namespace"
                                                 : cat("it is ", kind));
  }
  auto port = netlink::find_link(host, link->parent);
  const LinkIndex expected = bridge != nullptr ? bridge->index : LinkIndex::kNone;
  if (!port || (port->master != LinkIndex::kNone && port->master != expected)) {
    throw is_something_else(*link, vlan, bridge_name, "its other end is no port of that bridge");
  }
  return VlanGateway{*std::move(link), *std::move(port)};
}

VlanGateway create_gateway(netlink::Socket& host, const Link& bridge, int vlan) {
  const std::string name = gateway_name(bridge.name, vlan);
  // With an address of its own, or the host's service manager would change it afterwards.
  netlink::VethSpec pair{
      .name = name, .mac = Mac::random(), .mtu = bridge.mtu, .peer_name = {}, .peer_netns_fd = -1};
  for (unsigned attempt = 0;; ++attempt) {
    pair.peer_name = port_name(name, attempt);
    try {
      netlink::add_veth(host, pair);
      break;
    } catch (Error& error) {
      error.prepend(cat("failed to make the gateway of VLAN ", vlan));
      if (error.sys_errno != EEXIST || attempt + 1 == kMaxNames) throw;
      // The reference plugin, which takes no lock, may have been faster.
      if (auto existing = find_gateway(host, &bridge, bridge.name, vlan)) {
        return *std::move(existing);
      }
    }
  }
  return {netlink::get_link(host, name), netlink::get_link(host, pair.peer_name)};
}

// The VLANs of a gateway's port without the bridge's default, which networks with
// preserveDefaultVlan leave there.
std::vector<VlanRange> without_default(std::vector<VlanRange> vlans, const Link& bridge, int vlan) {
  if (bridge.default_pvid == vlan) return vlans;
  std::erase_if(vlans, [&](const VlanRange& range) {
    return range.first == bridge.default_pvid && range.last == bridge.default_pvid;
  });
  return vlans;
}

void ensure_access_vlan(netlink::Socket& host, const Link& bridge, const Config& config,
                        const Link& port) {
  const std::vector<VlanRange> wanted = access_vlan(config.vlan);
  std::vector<VlanRange> present = netlink::list_port_vlans(host, port);
  if (config.preserve_default_vlan) {
    present = without_default(std::move(present), bridge, config.vlan);
  }
  if (present == wanted) return;
  if (!config.preserve_default_vlan) netlink::remove_port_vlans(host, port);
  netlink::add_port_vlans(host, port, wanted);
}

// The end at the bridge comes first: with the gateway's end still down, no frame passes before the
// port has its VLAN.
void connect_gateway(netlink::Socket& host, const Link& bridge, const Config& config,
                     const VlanGateway& gateway) {
  for (const Link* end : {&gateway.port, &gateway.link}) {
    if (end->is_up()) continue;
    // As for the bridge: containers must not configure the host by router advertisements
    // (CVE-2020-10749), and detection of duplicates would keep it from soliciting them.
    os::try_write_sysctl({"net", "ipv6", "conf", end->name, "accept_ra"}, "0");
    os::try_write_sysctl({"net", "ipv6", "conf", end->name, "accept_dad"}, "0");
  }
  if (gateway.port.master != bridge.index || !gateway.port.is_up()) {
    // A bridge that somebody else made takes the lowest address of its ports unless it is set; the
    // result already names the one that it has now.
    netlink::LinkChange pin;
    pin.mac = bridge.mac;
    netlink::change_link(host, bridge.index, pin, cat("pin the MAC address of ", bridge.name));
    netlink::LinkChange change;
    change.up = true;
    change.master = bridge.index;
    netlink::change_link(host, gateway.port.index, change,
                         cat("connect ", gateway.link.name, " to bridge ", bridge.name));
  }
  ensure_access_vlan(host, bridge, config, gateway.port);
  if (gateway.link.is_up()) return;
  netlink::set_up(host, gateway.link.index);
  const auto state = netlink::wait_until_up(host, gateway.port.index, kPortDeadline);
  if (state == netlink::OperState::kUp) return;
  throw Error(
      Code::kTryAgainLater,
      cat("bridge port in error state: ", state ? netlink::to_string(*state) : "it is gone"),
      cat("port ", gateway.port.name, " of gateway ", gateway.link.name));
}

bool is_used(const std::vector<netlink::BridgePort>& ports, std::uint16_t vlan, LinkIndex gateway,
             std::string_view host_veth) {
  return std::any_of(ports.begin(), ports.end(), [&](const netlink::BridgePort& port) {
    return port.index != gateway && port.name != host_veth && netlink::contains(port.vlans, vlan);
  });
}

// VLANs whose gateways are to be looked at: those of untagged frames, and of the trunk those whose
// only port looks like a gateway's.
std::vector<std::uint16_t> lonely_vlans(const std::vector<netlink::BridgePort>& ports,
                                        const VlanUse& use) {
  std::vector<std::uint16_t> out = use.access;
  for (const netlink::BridgePort& port : ports) {
    if (!is_plugin_name(port.name)) continue;
    for (const VlanRange& range : port.vlans) {
      if (!range.pvid || !netlink::contains(use.trunk, range.first)) continue;
      if (is_used(ports, range.first, port.index, use.host_veth)) continue;
      out.push_back(range.first);
    }
  }
  return out;
}

// Whether it is worth while to list the bridge's ports: a trunk says nothing of gateways, but
// without a trunk there has to be a link of the gateway's name.
bool may_have_gateway(netlink::Socket& host, const VlanUse& use) {
  if (!use.trunk.empty()) {
    const auto bridge = netlink::find_link(host, use.bridge);
    if (bridge && bridge->vlan_filtering) return true;
  }
  return std::any_of(use.access.begin(), use.access.end(), [&](std::uint16_t vlan) {
    return netlink::find_link(host, gateway_name(use.bridge, vlan)).has_value();
  });
}

bool is_link_name(const std::string& name) {
  try {
    netlink::check_link_name(name);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// Too long a name is that of no gateway.
void drop_impossible_names(VlanUse& use) {
  if (!is_link_name(use.bridge)) use = {};
  std::erase_if(use.access,
                [&](std::uint16_t vlan) { return !is_link_name(gateway_name(use.bridge, vlan)); });
}

void add(const std::vector<VlanRange>& vlans, VlanUse& use) {
  for (const VlanRange& range : vlans) {
    if (range.pvid) {
      use.access.push_back(range.first);
    } else {
      use.trunk.push_back(range);
    }
  }
}

// The fourth interface, "BRIDGE.VLAN", says both.
void add_reported(const Result& result, VlanUse& use) {
  if (result.interfaces.size() > 1) use.host_veth = result.interfaces[1].name;
  if (result.interfaces.size() < 4) return;
  const std::string& bridge = result.interfaces[0].name;
  const std::string& name = result.interfaces[3].name;
  // Chained plugins report interfaces too.
  if (!result.interfaces[3].sandbox.empty() || !name.starts_with(bridge + ".")) return;
  std::uint16_t vlan = 0;
  const char* end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data() + bridge.size() + 1, end, vlan);
  if (error != std::errc() || rest != end) return;
  use.bridge = bridge;
  use.access.push_back(vlan);
}

// What the port itself says.
void add_found(const skel::Request& request, VlanUse& use) {
  netlink::Socket host = netlink::Socket::open();
  const auto port = netlink::find_host_veth(host, attachment::veth_owner(request));
  if (!port || port->master == LinkIndex::kNone) return;
  const auto bridge = netlink::find_link(host, port->master);
  if (!bridge || bridge->kind != "bridge") return;
  use.bridge = bridge->name;
  add(netlink::list_port_vlans(host, *port), use);
}

VlanUse configured_use(const Config& config) {
  VlanUse use{.bridge = config.bridge, .access = {}, .trunk = {}, .host_veth = {}};
  add(configured_vlans(config), use);
  // The default VLAN of the bridge is known to the bridge.
  if (!use.empty() && config.preserve_default_vlan) {
    use.trunk = {{.first = 1, .last = netlink::kMaxVlan}};
  }
  return use;
}

bool is_valid(const skel::Request& request) {
  try {
    (void)parse(request);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

std::optional<VlanGateway> find_vlan_gateway(netlink::Socket& host, const netlink::Link* bridge,
                                             const Config& config) {
  return find_gateway(host, bridge, config.bridge, config.vlan);
}

netlink::Link ensure_vlan_gateway(netlink::Socket& host, const netlink::Link& bridge,
                                  const Config& config) {
  const os::FileLock lock = lock_gateways(bridge.name);
  auto gateway = find_gateway(host, &bridge, bridge.name, config.vlan);
  if (!gateway) gateway = create_gateway(host, bridge, config.vlan);
  connect_gateway(host, bridge, config, *gateway);
  return gateway->link;
}

netlink::Link check_vlan_gateway(netlink::Socket& host, const netlink::Link& bridge,
                                 const Config& config, const Result& expected) {
  const auto differs = [](std::string message) {
    return Error(Code::kCheckFailed, std::move(message));
  };
  const std::string name = gateway_name(bridge.name, config.vlan);
  std::optional<VlanGateway> gateway;
  try {
    gateway = find_gateway(host, &bridge, bridge.name, config.vlan);
  } catch (Error& error) {
    if (error.code == Code::kConflict) error.code = Code::kCheckFailed;
    throw;
  }
  if (!gateway) throw differs(cat("gateway interface ", name, " not found"));
  if (!gateway->link.is_up()) throw differs(cat("gateway interface ", name, " is down"));
  for (const Interface& interface : expected.interfaces) {
    const bool is_gateway = interface.name == name && interface.sandbox.empty();
    if (!is_gateway || interface.mac.empty()) continue;
    if (interface.mac == gateway->link.mac.to_string()) continue;
    throw differs(cat("gateway interface ", name, " Mac doesn't match: ", interface.mac,
                      " in prevResult, ", gateway->link.mac.to_string(), " in the kernel"));
  }
  if (gateway->port.master != bridge.index) {
    throw differs(cat("port ", gateway->port.name, " of gateway interface ", name,
                      " is not a port of bridge ", bridge.name));
  }
  const std::vector<VlanRange> present = netlink::list_port_vlans(host, gateway->port);
  const std::vector<VlanRange> wanted = access_vlan(config.vlan);
  if (without_default(present, bridge, config.vlan) != wanted) {
    throw differs(cat("VLANs of port ", gateway->port.name, " of gateway interface ", name,
                      " do not match: ", netlink::to_string(wanted), " configured, ",
                      netlink::to_string(present), " in the kernel"));
  }
  return gateway->link;
}

VlanUse vlan_use(const skel::Request& request) {
  VlanUse use = configured_use(parse_what_is_valid(request));
  const Result* result = request.config.prev_result();
  if (!request.container_id.empty() && !is_valid(request)) {
    if (result != nullptr && !result->interfaces.empty()) use.bridge = result->interfaces[0].name;
    add_found(request, use);
  }
  if (result != nullptr) add_reported(*result, use);
  drop_impossible_names(use);
  return use;
}

void remove_unused_gateways(const VlanUse& use) {
  if (use.empty()) return;
  netlink::Socket host = netlink::Socket::open();
  if (!may_have_gateway(host, use)) return;
  const os::FileLock lock = lock_gateways(use.bridge);
  const auto bridge = netlink::find_link(host, use.bridge);
  const auto ports =
      bridge ? netlink::list_bridge_ports(host, bridge->index) : std::vector<netlink::BridgePort>{};
  for (const std::uint16_t vlan : lonely_vlans(ports, use)) {
    if (!is_link_name(gateway_name(use.bridge, vlan))) continue;
    std::optional<VlanGateway> gateway;
    try {
      gateway = find_gateway(host, bridge ? &*bridge : nullptr, use.bridge, vlan);
    } catch (const Error& error) {
      if (error.code != Code::kConflict) throw;
      continue;  // somebody else's link
    }
    if (!gateway || !is_plugin_name(gateway->port.name)) continue;
    if (is_used(ports, vlan, gateway->port.index, use.host_veth)) continue;
    (void)netlink::remove_link(host, gateway->link.index);
  }
}

void push_gateway_removal(const Config& config, os::Undo& undo) {
  if (!config.uses_vlans()) return;
  undo.push(cat("remove unused VLAN gateways of bridge ", config.bridge),
            [use = configured_use(config)] {
              VlanUse possible = use;
              drop_impossible_names(possible);
              remove_unused_gateways(possible);
            });
}

}  // namespace cni::bridge
