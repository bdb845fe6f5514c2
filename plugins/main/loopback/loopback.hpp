// Brings the loopback interface of a container up.
#pragma once

#include "pkg/skel/plugin.hpp"

namespace cni::loopback {

extern const skel::Plugin plugin;

}  // namespace cni::loopback
