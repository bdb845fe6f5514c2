// The networks of a folder such as /etc/cni/net.d.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libcni/network.hpp"
#include "pkg/types/error.hpp"

namespace cni::libcni {

struct BrokenFile {
  std::string path;
  Error error;
};

// In the order in which a name is looked up: *.conflist sorted by name, then *.conf and *.json
// together, sorted by name.
struct Discovery {
  std::vector<Network> networks;
  std::vector<BrokenFile> broken;
};

// Reads every network of a folder. A broken file hides no other, and one that vanishes meanwhile
// was not there; subfolders are not searched. A folder that does not exist has no networks.
Discovery discover_networks(const std::string& folder);

// The first network of that name. Throws Code::kInvalidNetworkConfig: `no net configurations found
// in FOLDER` or `no net configuration with name "NAME" in FOLDER`, with what is wrong with the
// broken files of the folder in the details.
Network find_network(const std::string& folder, std::string_view name);

}  // namespace cni::libcni
