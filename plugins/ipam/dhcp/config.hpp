// The configuration of dhcp.
#pragma once

#include <string>

#include "pkg/skel/request.hpp"
#include "pkg/types/schema.hpp"
#include "plugins/ipam/dhcp/lease_request.hpp"

namespace cni::dhcp {

struct Config {
  std::string socket_path;
  // Key and netns are empty where the command has no such variables.
  LeaseRequest lease;
};

extern const schema::Description kDescription;

// Reads and validates everything. Throws with the path of the key that is wrong.
Config parse(const skel::Request& request);

// Only what asking the daemon for something else than a lease takes: socket and key. A mistake in
// the configuration counts as an absent key, so that it cannot stop DEL and GC.
Config parse_leniently(const skel::Request& request);

}  // namespace cni::dhcp
