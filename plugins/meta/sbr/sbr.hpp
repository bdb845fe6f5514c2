// Source-based routing: packets leave a container by the interface whose address they carry.
#pragma once

#include "pkg/skel/plugin.hpp"

namespace cni::sbr {

extern const skel::Plugin plugin;

}  // namespace cni::sbr
