// Lets the traffic of the containers of a chain's networks pass the host's firewall, and keeps
// traffic from others away from them.
#pragma once

#include "pkg/skel/plugin.hpp"

namespace cni::firewall {

extern const skel::Plugin plugin;

}  // namespace cni::firewall
