// The configuration of the portmap plugin.
#pragma once

#include <string>
#include <vector>

#include "pkg/netfilter/port_map.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/types/schema.hpp"

namespace cni::portmap {

struct Config {
  std::string backend;  // empty: whichever can be used
  bool snat = true;
  bool masquerade_all = false;
  unsigned mark_bit = 13;
  std::string external_mark_chain;
  std::vector<std::string> conditions_ipv4;
  std::vector<std::string> conditions_ipv6;
  std::vector<netfilter::PortMapping> mappings;
};

extern const schema::Description kDescription;

// Reads and validates all of it. Throws before anything was touched.
Config parse(const skel::Request& request);

}  // namespace cni::portmap
