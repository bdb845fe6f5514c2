// Host ports that iptables sends to other containers already. Private to this folder.
#pragma once

#include "pkg/netfilter/nat_table.hpp"
#include "pkg/netfilter/port_map.hpp"
#include "pkg/types/address.hpp"

namespace cni::netfilter {

// Throws Code::kConflict for the first mapping whose host port another container has in this table,
// with the container's name. Ports may be shared by those who ask for more than the port
// (conditions): which of them is meant is for the packet to say.
void refuse_taken_ports(NatTable& table, const PortMapSpec& spec, Family family);

}  // namespace cni::netfilter
