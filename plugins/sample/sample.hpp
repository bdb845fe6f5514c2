// Gives the container's interface an alias, which `ip link` and monitoring show. A chained plugin,
// and the template for new ones.
#pragma once

#include "pkg/skel/plugin.hpp"

namespace sample {

extern const cni::skel::Plugin plugin;

}  // namespace sample
