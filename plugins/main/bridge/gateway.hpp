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

// Puts each gateway address on its holder, which is the bridge or the gateway interface of a VLAN,
// and enables forwarding for its family. Shared by all containers: ensured, never undone.
void ensure_gateways(netlink::Socket& host, const netlink::Link& holder, const Config& config,
                     const Result& result);

// CHECK: the gateway addresses are on their holder.
void check_gateways(netlink::Socket& host, const netlink::Link& holder, const Result& expected);

}  // namespace cni::bridge
