// Gives a container an interface of its own on a link of the host: another MAC address on the same
// wire.
#pragma once

#include "pkg/skel/plugin.hpp"

namespace cni::macvlan {

extern const skel::Plugin plugin;

}  // namespace cni::macvlan
