// What can change of a running container's interface: the routes that its address manager gives it.
#pragma once

#include "pkg/skel/update.hpp"

namespace cni::attachment {

// UPDATE for plugins that put the result of an address manager on an interface. The manager is
// asked what of `ipam` can change, and the difference of the routes is made on the interface. An
// interface whose routes another plugin has moved to a table of its own is refused.
extern const skel::LiveUpdate kRouteUpdate;

}  // namespace cni::attachment
