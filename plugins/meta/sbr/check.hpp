// CHECK: is everything there that ADD made?
#pragma once

#include <vector>

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/result.hpp"
#include "plugins/meta/sbr/config.hpp"
#include "plugins/meta/sbr/source.hpp"

namespace cni::sbr {

// Throws Code::kCheckFailed naming the first difference.
void check_routing(netlink::Socket& container, const netlink::Link& link, const Result& result,
                   const std::vector<Source>& sources, const Config& config);

}  // namespace cni::sbr
