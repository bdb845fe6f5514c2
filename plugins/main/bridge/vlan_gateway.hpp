// The gateway of a VLAN: where the bridge itself would need an 802.1q device and a VLAN of its own,
// the host takes part with one end of a veth pair, "cni0.100", whose other end is a port of the
// bridge with that VLAN, as a container's. All containers of the VLAN share it; it goes with the
// last port of the VLAN.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pkg/netlink/bridge_vlan.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/os/undo.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/types/result.hpp"
#include "plugins/main/bridge/config.hpp"

namespace cni::bridge {

struct VlanGateway {
  netlink::Link link;  // the end with the addresses
  netlink::Link port;  // the end at the bridge; in no bridge if ADD was killed before that
};

// The gateway of the configured VLAN; absent if there is none. Throws Code::kConflict if a link of
// that name is something else. `bridge` is null if it is gone or still to be made.
std::optional<VlanGateway> find_vlan_gateway(netlink::Socket& host, const netlink::Link* bridge,
                                             const Config& config);

// Makes the gateway, or completes one that a killed ADD left. The container's own port has to have
// the VLAN already, since a DEL that runs at the same time removes a gateway without such ports.
netlink::Link ensure_vlan_gateway(netlink::Socket& host, const netlink::Link& bridge,
                                  const Config& config);

// CHECK: the gateway is there, up, as prevResult says, and its port has the VLAN. Returns the end
// that has the addresses.
netlink::Link check_vlan_gateway(netlink::Socket& host, const netlink::Link& bridge,
                                 const Config& config, const Result& expected);

// The VLANs whose gateways may have lost their last port when an attachment goes.
struct VlanUse {
  std::string bridge;
  std::vector<std::uint16_t> access;      // looked up by the gateway's name
  std::vector<netlink::VlanRange> trunk;  // looked for among the bridge's ports
  std::string host_veth;                  // the attachment's own port, which does not count

  bool empty() const { return access.empty() && trunk.empty(); }
};

// Those of the attachment that is to be deleted: as configured, as prevResult says, and, if the
// configuration is invalid, as the kernel has them. To be called while its port is there. Without
// VLANs in a valid configuration no request is made. For GC, which has no attachment, those of the
// configuration.
VlanUse vlan_use(const skel::Request& request);

// Removes gateways without any other port in their VLAN. To be called when the port is gone. Does
// nothing for an empty use.
void remove_unused_gateways(const VlanUse& use);

// The undo step for an attachment with VLANs; to be pushed before its port is made.
void push_gateway_removal(const Config& config, os::Undo& undo);

}  // namespace cni::bridge
