// Gives a container an interface that leads nowhere, for addresses that belong to no wire.
#pragma once

#include "pkg/skel/plugin.hpp"

namespace cni::dummy {

extern const skel::Plugin plugin;

}  // namespace cni::dummy
