// Publishes ports of a container on the host, behind a plugin that has given it addresses.
#pragma once

#include "pkg/skel/plugin.hpp"

namespace cni::portmap {

extern const skel::Plugin plugin;

}  // namespace cni::portmap
