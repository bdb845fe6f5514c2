// What the plugins of a network say to VERSION.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "libcni/runtime.hpp"
#include "pkg/types/error.hpp"

namespace cni::cnitool {

struct AskedPlugin {
  std::string type;
  bool is_ipam = false;
  std::string place;  // JSON path in the network: "plugins[0].ipam.type"
  std::string path;   // empty if it is not there
  std::vector<std::string> supported;
  bool fits = false;           // supports the network's version
  std::optional<Error> error;  // it is not there, or gave no answer
};

// The IPAM plugin that a plugin's configuration names; empty without one.
std::string ipam_type(const libcni::PluginConfig& plugin);

// Asks all plugins of the network, and the IPAM plugins that they name, in the order in which they
// stand there.
std::vector<AskedPlugin> ask_plugins(const libcni::Runtime& runtime, const libcni::Network& network,
                                     const libcni::CallOptions& options);

}  // namespace cni::cnitool
