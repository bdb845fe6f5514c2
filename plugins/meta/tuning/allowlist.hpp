// Which sysctls the node lets network configurations set.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace cni::tuning {

inline constexpr std::string_view kAllowlist = "/etc/cni/tuning/allowlist.conf";

// Each key, as it is written in the configuration, has to match one line of the node's list. All
// are allowed if there is no list, none if it is empty. Without keys nobody looks at it. Throws
// Code::kInvalidNetworkConfig for one that is not allowed, Code::kIoFailure if the list cannot be
// read.
void check_allowed(std::span<const std::string> keys);

}  // namespace cni::tuning
