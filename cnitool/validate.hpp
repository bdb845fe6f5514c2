// What is wrong with a network's configuration.
#pragma once

#include <vector>

#include "libcni/runtime.hpp"
#include "libcni/validation.hpp"

namespace cni::cnitool {

// What only the plugins can say: which of them are not there, and which do not support the
// network's version. They are asked for VERSION.
std::vector<libcni::Problem> plugin_problems(const libcni::Runtime& runtime,
                                             const libcni::Network& network,
                                             const libcni::CallOptions& options);

}  // namespace cni::cnitool
