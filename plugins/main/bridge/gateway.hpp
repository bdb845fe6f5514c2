// The bridge as the gateway of its containers.
#pragma once

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/result.hpp"
#include "plugins/main/bridge/config.hpp"

namespace cni::bridge {

// Fills in the gateways that the result lacks: with isGateway the first address of each subnet,
// with isDefaultGateway also a default route for each family.
void complete_gateways(const Config& config, Result& result);

// Puts each gateway address on the bridge and enables forwarding for its family. Shared by all
// containers of the bridge: ensured, never undone.
void ensure_gateways(netlink::Socket& host, const netlink::Link& bridge, const Config& config,
                     const Result& result);

// CHECK: the gateway addresses are on the bridge.
void check_gateways(netlink::Socket& host, const netlink::Link& bridge, const Result& expected);

}  // namespace cni::bridge
