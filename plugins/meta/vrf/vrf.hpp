// Puts the container's interface, which a plugin in front has made, into a VRF: a routing domain of
// its own within the container.
#pragma once

#include "pkg/skel/plugin.hpp"

namespace cni::vrf {

extern const skel::Plugin plugin;

}  // namespace cni::vrf
