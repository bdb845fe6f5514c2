// VLANs of bridge ports: what a port carries, and with which tags.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/error.hpp"

namespace cni::netlink {

inline constexpr std::uint16_t kMaxVlan = 4094;  // IEEE 802.1Q: 4095 is reserved, 0 is no VLAN

// VLANs that a port carries in the same way.
struct VlanRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
  bool pvid = false;      // frames that come in without a tag belong to it; of one VLAN only
  bool untagged = false;  // frames go out without a tag

  bool contains(std::uint16_t vlan) const { return first <= vlan && vlan <= last; }
  bool operator==(const VlanRange& other) const = default;
};

// "1 (PVID, untagged), 100-200"; "none" for an empty list.
std::string to_string(std::span<const VlanRange> ranges);

// In ascending order, neighbours that are carried in the same way as one range: two ports carry the
// same if and only if their merged lists are equal. VLANs must not be named twice with different
// flags.
std::vector<VlanRange> merge(std::vector<VlanRange> ranges);

// Whether a list has the VLAN.
bool contains(std::span<const VlanRange> ranges, std::uint16_t vlan);

// Whether the kernel can keep VLANs of a bridge apart, loading its module if need be. Creates
// nothing.
bool kernel_has_bridge_vlans(Socket& socket);
// Code::kMissingKernelFeature `the kernel has no bridge VLAN filtering support
// (CONFIG_BRIDGE_VLAN_FILTERING)`.
Error no_bridge_vlans();

// Lets the port carry these VLANs too, all of them by one message. VLANs that it has already get
// the new flags.
void add_port_vlans(Socket& socket, const Link& port, std::span<const VlanRange> ranges);

// Takes every VLAN from the port, by one message and without having to know them.
void remove_port_vlans(Socket& socket, const Link& port);

// The VLANs of a port, merged; empty for a link that is no bridge port.
std::vector<VlanRange> list_port_vlans(Socket& socket, const Link& port);

struct BridgePort {
  LinkIndex index = LinkIndex::kNone;
  std::string name;
  std::vector<VlanRange> vlans;  // merged
};
// The ports of a bridge. A dump of the ports of all bridges in the socket's namespace, which the
// kernel cannot narrow down: for DEL and GC of VLANs only.
std::vector<BridgePort> list_bridge_ports(Socket& socket, LinkIndex bridge);

}  // namespace cni::netlink
