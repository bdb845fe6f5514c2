// One call of a plugin from start to end.
#pragma once

#include "pkg/skel/plugin.hpp"
#include "pkg/skel/request.hpp"

namespace cni::skel {

// Validates environment and stdin, calls the plugin, prints one JSON document on io.out and returns
// the exit status: 0, or 1 after an error object. A failed ADD is rolled back before the error is
// printed; an ADD whose result cannot be written is a failed ADD.
int run(const Plugin& plugin, const Io& io);

}  // namespace cni::skel
