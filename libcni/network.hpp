// Networks as runtimes configure them: what a configuration list, or a file with a single plugin,
// says.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace cni::libcni {

// One plugin of a network.
struct PluginConfig {
  std::shared_ptr<const nlohmann::json> document;  // the object as it is written
  std::string type;
  std::string name;                          // of the object itself; usually empty
  std::map<std::string, bool> capabilities;  // true: the plugin wants the argument of that name
  std::string file;                          // where it stands, if in a file of its own
};

struct Network {
  std::string name;
  std::string cni_version;  // the one chosen for all plugins; empty means 0.1.0
  bool disable_check = false;
  bool disable_gc = false;
  bool load_only_inlined_plugins = false;
  std::vector<PluginConfig> plugins;
  std::string text;  // the list as text, which is kept with each attachment
  std::string file;  // where it was read; empty for a text
};

// Reads a configuration list (CNI specification 1.1.0, "Configuration format"). Of `cniVersions`
// and `cniVersion` together the highest that is not newer than kCurrentVersion is chosen. Throws
// Code::kDecodingFailure with `error parsing configuration list: ...`.
Network parse_network_list(std::string_view text);

// Reads the configuration of a single plugin as a list of one. Throws Code::kDecodingFailure with
// `error parsing configuration: ...`.
Network parse_single_plugin(std::string_view text);

// Reads a file: *.conflist is a list, everything else a single plugin. To the plugins of a list
// those of the folder beside it that is named after the network are added, *.conf in lexicographic
// order, unless the list says loadOnlyInlinedPlugins. Throws as the functions above, with the path
// in front, and `no plugin configs found` for a list that ends up without plugins.
Network load_network_file(const std::string& path);

}  // namespace cni::libcni
