// The routing table of a VRF that is made without a configured one.
#pragma once

#include <cstdint>
#include <functional>
#include <set>

#include "pkg/netlink/socket.hpp"

namespace cni::vrf {

// The first table from 1 on that is neither taken, nor in use, nor one of the kernel's own (253 to
// 255).
std::uint32_t first_free_table(const std::set<std::uint32_t>& taken,
                               const std::function<bool(std::uint32_t)>& is_in_use);

// The first table that no VRF, no rule and no route of the socket's namespace uses.
std::uint32_t find_free_table(netlink::Socket& container);

}  // namespace cni::vrf
