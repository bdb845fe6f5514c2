// Lends a container an interface of the host: moves it there, and back.
#pragma once

#include "pkg/skel/plugin.hpp"

namespace cni::host_device {

extern const skel::Plugin plugin;

}  // namespace cni::host_device
