// Limits how much a container's interface sends and receives, behind a plugin that has made the
// interface.
#pragma once

#include "pkg/skel/plugin.hpp"

namespace cni::bandwidth {

extern const skel::Plugin plugin;

}  // namespace cni::bandwidth
