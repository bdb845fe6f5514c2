// The configuration of static.
#pragma once

#include <optional>
#include <vector>

#include "pkg/skel/request.hpp"
#include "pkg/types/result.hpp"
#include "pkg/types/schema.hpp"

namespace cni::static_ipam {

struct Address {
  Prefix address;
  std::optional<Ip> gateway;
};

struct Config {
  std::vector<Address> addresses;
  std::vector<Route> routes;
  Dns dns;
};

extern const schema::Description kDescription;

// Reads and validates everything. Throws with the path of the key that is wrong.
Config parse(const skel::Request& request);

}  // namespace cni::static_ipam
