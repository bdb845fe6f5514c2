#include "plugins/main/bridge/vlan.hpp"

#include <algorithm>
#include <vector>

#include "pkg/attachment/interface.hpp"
#include "pkg/netlink/bridge_vlan.hpp"
#include "pkg/types/error.hpp"
#include "plugins/main/bridge/vlan_gateway.hpp"

namespace cni::bridge {
namespace {

using netlink::VlanRange;

// What the reference gives untagged frames of a port that only has a trunk.
constexpr std::uint16_t kTrunkAccessVlan = 1;

// Those that the port has after ADD: with preserveDefaultVlan also the bridge's default, no longer
// for frames that come in untagged.
std::vector<VlanRange> expected_vlans(const netlink::Link& bridge, const Config& config) {
  std::vector<VlanRange> out = configured_vlans(config);
  const std::uint16_t kept = config.preserve_default_vlan ? bridge.default_pvid : 0;
  if (kept != 0 && !netlink::contains(out, kept)) {
    out.push_back({.first = kept, .last = kept, .untagged = true});
  }
  return netlink::merge(std::move(out));
}

}  // namespace

std::vector<VlanRange> configured_vlans(const Config& config) {
  if (!config.uses_vlans()) return {};
  const auto access = static_cast<std::uint16_t>(config.vlan != 0 ? config.vlan : kTrunkAccessVlan);
  std::vector<VlanRange> out = {{.first = access, .last = access, .pvid = true, .untagged = true}};
  const auto add = [&](int first, int last) {
    if (first > last) return;
    out.push_back(
        {.first = static_cast<std::uint16_t>(first), .last = static_cast<std::uint16_t>(last)});
  };
  for (const VlanRange& range : config.trunk) {
    if (!range.contains(access)) {
      out.push_back(range);
      continue;
    }
    add(range.first, access - 1);
    add(access + 1, range.last);
  }
  return netlink::merge(std::move(out));
}

void require_kernel_vlans(netlink::Socket& host, const Config& config) {
  if (!config.uses_vlans() || netlink::kernel_has_bridge_vlans(host)) return;
  throw netlink::no_bridge_vlans();
}

void require_vlan_filtering(const netlink::Link& bridge, const Config& config) {
  if (!config.uses_vlans() || bridge.vlan_filtering.value_or(false)) return;
  if (!bridge.vlan_filtering) throw netlink::no_bridge_vlans();
  // Not switched on here: that would cut off whoever sends tagged frames over the bridge today.
  throw Error(
      Code::kConflict,
      cat("bridge ", quote(bridge.name), " does not keep VLANs apart: its vlan_filtering is off"),
      cat("let the plugin make the bridge, or switch it on if nothing else sends tagged "
          "frames over it: ip link set ",
          bridge.name, " type bridge vlan_filtering 1"));
}

void set_port_vlans(netlink::Socket& host, const netlink::Link& port, const Config& config) {
  const std::vector<VlanRange> vlans = configured_vlans(config);
  if (vlans.empty()) return;
  if (!config.preserve_default_vlan) netlink::remove_port_vlans(host, port);
  netlink::add_port_vlans(host, port, vlans);
}

void check_port_vlans(netlink::Socket& host, const netlink::Link& bridge, const netlink::Link& port,
                      const Config& config) {
  if (!config.uses_vlans()) return;
  if (!bridge.vlan_filtering.value_or(false)) {
    throw Error(Code::kCheckFailed, cat("Bridge ", bridge.name,
                                        " does not keep VLANs apart: its vlan_filtering is off"));
  }
  const std::vector<VlanRange> expected = expected_vlans(bridge, config);
  const std::vector<VlanRange> present = netlink::list_port_vlans(host, port);
  if (present == expected) return;
  throw Error(Code::kCheckFailed,
              cat("VLANs of port ", port.name, " do not match: ", netlink::to_string(expected),
                  " configured, ", netlink::to_string(present), " in the kernel"));
}

void check_vlan_status(netlink::Socket& host, const netlink::Link* bridge, const Config& config) {
  if (!config.uses_vlans()) return;
  attachment::require_available([&] {
    if (bridge != nullptr) {
      require_vlan_filtering(*bridge, config);
    } else {
      require_kernel_vlans(host, config);
    }
    if (config.has_vlan_gateway()) (void)find_vlan_gateway(host, bridge, config);
  });
}

}  // namespace cni::bridge
