// Gives a container a persistent tap device, for a program in it that reads and writes Ethernet
// frames.
#pragma once

#include "pkg/skel/plugin.hpp"

namespace cni::tap {

extern const skel::Plugin plugin;

}  // namespace cni::tap
