// The bridge as the gateway of its containers.
#pragma once

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/result.hpp"
#include "plugins/main/bridge/config.hpp"

namespace cni::bridge {

// Fills in what the result's addresses lack as addresses behind a bridge: the interface, with
// isGateway a gateway (the first address of the subnet), with isDefaultGateway a default route per
// family.
void complete_addresses(const Config& config, int container_interface, Result& result);

// Puts each gateway address on the bridge and enables forwarding for its family. Shared by all
// containers of the bridge: ensured, never undone.
void ensure_gateways(netlink::Socket& host, const netlink::Link& bridge, const Config& config,
                     const Result& result);

// CHECK: the gateway addresses are on the bridge.
void check_gateways(netlink::Socket& host, const netlink::Link& bridge, const Result& expected);

}  // namespace cni::bridge
