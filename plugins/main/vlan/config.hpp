// The configuration of the vlan plugin.
#pragma once

#include <cstdint>
#include <string>

#include "pkg/skel/request.hpp"
#include "pkg/types/schema.hpp"

namespace cni::vlan {

struct Config {
  std::string master;
  bool link_in_container = false;
  int vlan_id = 0;        // IEEE 802.1Q; 0: frames with a priority and no VLAN
  std::uint32_t mtu = 0;  // 0: the master's
};

extern const schema::Description kDescription;

// Reads and validates what needs no look at the kernel. Throws before anything was touched.
Config parse(const skel::Request& request);

}  // namespace cni::vlan
