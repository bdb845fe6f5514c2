// VLANs of the container's bridge port.
#pragma once

#include <vector>

#include "pkg/netlink/bridge_vlan.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "plugins/main/bridge/config.hpp"

namespace cni::bridge {

// What the port carries by the configuration. The VLAN of untagged frames may be part of the trunk
// too; its frames are untagged then, since the container has no other VLAN for them.
std::vector<netlink::VlanRange> configured_vlans(const Config& config);

// Throws Code::kMissingKernelFeature unless the kernel can keep VLANs apart, for a bridge that is
// still to be made. Nothing without VLANs in the configuration.
void require_kernel_vlans(netlink::Socket& host, const Config& config);

// Throws Code::kConflict if the bridge does not keep VLANs apart, Code::kMissingKernelFeature if
// the kernel cannot. Nothing without VLANs in the configuration.
void require_vlan_filtering(const netlink::Link& bridge, const Config& config);

// Gives a new port the configured VLANs, and takes the bridge's default VLAN unless it is to be
// preserved. While the container's end is down, no frame passes in between. Nothing without VLANs
// in the configuration.
void set_port_vlans(netlink::Socket& host, const netlink::Link& port, const Config& config);

// CHECK: the bridge keeps VLANs apart, and the port has those of the configuration and no others.
void check_port_vlans(netlink::Socket& host, const netlink::Link& bridge, const netlink::Link& port,
                      const Config& config);

// STATUS: throws Code::kPluginNotAvailable if VLANs are configured and cannot be had. `bridge` is
// null if it is still to be made.
void check_vlan_status(netlink::Socket& host, const netlink::Link* bridge, const Config& config);

}  // namespace cni::bridge
