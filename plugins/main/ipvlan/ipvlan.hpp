// Gives a container an interface on a link of the host that shares its MAC address.
#pragma once

#include "pkg/skel/plugin.hpp"

namespace cni::ipvlan {

extern const skel::Plugin plugin;

}  // namespace cni::ipvlan
