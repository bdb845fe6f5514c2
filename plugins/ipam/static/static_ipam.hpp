// The static IPAM plugin: hands out the addresses that its configuration names, and keeps no state.
#pragma once

#include "pkg/skel/plugin.hpp"

namespace cni::static_ipam {

extern const skel::Plugin plugin;

}  // namespace cni::static_ipam
