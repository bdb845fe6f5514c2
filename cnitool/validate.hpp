// What is wrong with a network's configuration.
#pragma once

#include <string>
#include <vector>

#include "libcni/runtime.hpp"

namespace cni::cnitool {

struct Problem {
  std::string path;     // JSON path in the network: "plugins[0].ipam.type"
  std::string value;    // what stands there, as JSON; may be empty
  std::string message;  // a sentence without a full stop
  std::string hint;     // what would be right; may be empty
};

// What only the plugins can say: which of them are not there, and which do not support the
// network's version. They are asked for VERSION.
std::vector<Problem> plugin_problems(const libcni::Runtime& runtime, const libcni::Network& network,
                                     const libcni::CallOptions& options);

}  // namespace cni::cnitool
