// The configuration of host-local.
#pragma once

#include <string>
#include <vector>

#include "pkg/skel/request.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/result.hpp"
#include "pkg/types/schema.hpp"
#include "plugins/ipam/host-local/range.hpp"

namespace cni::host_local {

inline constexpr std::string_view kDefaultDataDir = "/var/lib/cni/networks";

// Where a network's reservations are.
struct Location {
  std::string data_dir{kDefaultDataDir};
  std::string network;

  std::string folder() const { return data_dir + "/" + network; }
};

// An entry of ipam.exclude.
struct Exclusion {
  Prefix addresses;
  std::string path;  // "ipam.exclude[0]"
};

// An address that the caller asks for.
struct RequestedIp {
  Ip ip;
  std::string source;  // "CNI_ARGS", "args.cni.ips[0]"
};

struct Config {
  Location location;
  std::vector<RangeSet> range_sets;
  std::vector<Exclusion> exclusions;
  std::vector<RequestedIp> requested;
  std::vector<Route> routes;
  std::string resolv_conf;  // path; empty: none
};

extern const schema::Description kDescription;

// Reads and validates everything. Throws with the path of the key that is wrong.
Config parse(const skel::Request& request);

// Only what releasing takes, so that a configuration that would fail ADD still releases: a missing
// ipam section and a dataDir that is no text mean the default folder. Throws for a folder that
// cannot be used.
Location parse_location(const skel::Request& request);

}  // namespace cni::host_local
