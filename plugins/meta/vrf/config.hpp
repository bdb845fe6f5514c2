// The configuration of the vrf plugin.
#pragma once

#include <cstdint>
#include <string>

#include "pkg/skel/request.hpp"
#include "pkg/types/schema.hpp"

namespace cni::vrf {

struct Config {
  std::string name;
  std::uint32_t table = 0;  // 0: chosen when the VRF is made
};

extern const schema::Description kDescription;

// Reads and validates all of it. Throws before anything was touched.
Config parse(const skel::Request& request);
// For DEL: the name is empty if it cannot be read or cannot be one.
Config parse_readable(const skel::Request& request);

}  // namespace cni::vrf
