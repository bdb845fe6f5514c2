// The configuration of the sample plugin.
#pragma once

#include <string>

#include "pkg/skel/request.hpp"

namespace sample {

struct Config {
  std::string alias;
};

// Reads and validates everything. Throws before anything was touched.
Config parse(const cni::skel::Request& request);

}  // namespace sample
