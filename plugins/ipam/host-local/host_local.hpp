// The host-local IPAM plugin: hands out addresses of configured ranges and remembers them in files
// on this host.
#pragma once

#include "pkg/skel/plugin.hpp"

namespace cni::host_local {

extern const skel::Plugin plugin;

}  // namespace cni::host_local
