// tuning: changes the container's interface and kernel parameters of its namespace, behind the
// plugin that makes the interface.
#pragma once

#include "pkg/skel/plugin.hpp"

namespace cni::tuning {

extern const skel::Plugin plugin;

}  // namespace cni::tuning
