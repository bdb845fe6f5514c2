// Gives a container one VLAN (IEEE 802.1Q) of a link of the host.
#pragma once

#include "pkg/skel/plugin.hpp"

namespace cni::vlan {

extern const skel::Plugin plugin;

}  // namespace cni::vlan
