// The configuration of the tuning plugin.
#pragma once

#include <string>
#include <vector>

#include "pkg/skel/request.hpp"
#include "pkg/types/schema.hpp"
#include "plugins/meta/tuning/settings.hpp"

namespace cni::tuning {

struct Config {
  Settings settings;
  std::vector<std::string> sysctl_keys;  // as they are written
  std::string data_dir;
};

extern const schema::Description kDescription;

// Reads and validates all of it. Throws before anything was touched.
Config parse(const skel::Request& request);

// For DEL and GC, which a mistake must not stop: the default where dataDir cannot be used.
std::string parse_data_dir(const skel::Request& request);

}  // namespace cni::tuning
