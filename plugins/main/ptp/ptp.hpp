// Connects a container with the host by a veth pair of its own; the host routes to each container.
#pragma once

#include "pkg/skel/plugin.hpp"

namespace cni::ptp {

extern const skel::Plugin plugin;

}  // namespace cni::ptp
