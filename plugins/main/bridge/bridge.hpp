// Connects containers to a bridge of the host with veth pairs.
#pragma once

#include "pkg/skel/plugin.hpp"

namespace cni::bridge {

extern const skel::Plugin plugin;

}  // namespace cni::bridge
