// list, and the names that completion offers.
#include <map>
#include <nlohmann/json.hpp>

#include "cnitool/commands.hpp"
#include "cnitool/output.hpp"
#include "cnitool/plugin_versions.hpp"
#include "libcni/discovery.hpp"
#include "pkg/types/version.hpp"

namespace cni::cnitool {
namespace {

using nlohmann::json;

// What is wrong with a network that could be read.
std::vector<std::string> problems_of(const libcni::Runtime& runtime,
                                     const libcni::Network& network) {
  std::vector<std::string> out;
  const auto check = [&](const auto& fn) {
    try {
      fn();
    } catch (const Error& error) {
      out.push_back(error.msg);
    }
  };
  check([&] { skel::check_network_name(network.name); });
  if (!is_supported(version_or_default(network.cni_version), kAllVersions)) {
    out.push_back(cat("unknown version ", quote(network.cni_version)));
  }
  for (const libcni::PluginConfig& plugin : network.plugins) {
    check([&] { (void)runtime.find_plugin(plugin.type); });
    const std::string ipam = ipam_type(plugin);
    if (!ipam.empty()) check([&] { (void)runtime.find_plugin(ipam); });
  }
  return out;
}

struct Listed {
  std::string name;
  std::string version;
  std::vector<std::string> plugins;  // "bridge+host-local"
  json plugin_objects = json::array();
  std::string file;
  std::vector<std::string> problems;
};

Listed listed(const libcni::Runtime& runtime, const libcni::Network& network) {
  Listed out;
  out.name = network.name;
  out.version = version_or_default(network.cni_version);
  out.file = network.file;
  out.problems = problems_of(runtime, network);
  for (const libcni::PluginConfig& plugin : network.plugins) {
    const std::string ipam = ipam_type(plugin);
    out.plugins.push_back(ipam.empty() ? plugin.type : cat(plugin.type, '+', ipam));
    json object = {{"type", plugin.type}};
    if (!ipam.empty()) object["ipam"] = ipam;
    if (!plugin.file.empty()) object["file"] = plugin.file;
    out.plugin_objects.push_back(std::move(object));
  }
  return out;
}

std::vector<Listed> list_all(const libcni::Runtime& runtime, const std::string& folder) {
  const libcni::Discovery found = libcni::discover_networks(folder);
  std::vector<Listed> out;
  std::map<std::string, std::string> file_of;
  for (const libcni::Network& network : found.networks) {
    out.push_back(listed(runtime, network));
    const auto [first, is_first] = file_of.emplace(network.name, network.file);
    if (!is_first) out.back().problems.push_back(cat("hidden by ", first->second));
  }
  for (const libcni::BrokenFile& broken : found.broken) {
    Listed entry;
    entry.file = broken.path;
    entry.problems.push_back(broken.error.what());
    out.push_back(std::move(entry));
  }
  return out;
}

json to_json(const Listed& entry) {
  json out = {{"file", entry.file}};
  if (!entry.name.empty()) {
    out["name"] = entry.name;
    out["cniVersion"] = entry.version;
    out["plugins"] = entry.plugin_objects;
  }
  if (!entry.problems.empty()) out["problems"] = entry.problems;
  return out;
}

}  // namespace

Report list(Session& session) {
  const std::string& folder = session.conf_dir();
  const std::vector<Listed> entries = list_all(session.runtime(), folder);
  Report out;
  json networks = json::array();
  std::vector<std::vector<std::string>> rows = {{"NAME", "VERSION", "PLUGINS", "FILE"}};
  std::string problems;
  for (const Listed& entry : entries) {
    networks.push_back(to_json(entry));
    const auto or_dash = [](const std::string& text) { return text.empty() ? "-" : text; };
    rows.push_back({or_dash(entry.name), or_dash(entry.version),
                    or_dash(joined(entry.plugins, ",")), entry.file});
    for (const std::string& problem : entry.problems) {
      // Parsing errors name their file themselves.
      problems += problem.starts_with(entry.file)
                      ? cat("broken: ", problem, '\n')
                      : cat("broken: ", entry.file, ": ", problem, '\n');
    }
  }
  const Surroundings& surroundings = session.surroundings();
  out.text = entries.empty() ? cat("no network in ", folder, '\n')
                             : cat(format_table(rows, has_colours(surroundings, surroundings.out)),
                                   problems.empty() ? "" : cat('\n', problems));
  out.document =
      std::make_shared<json>(json{{"folder", folder}, {"networks", std::move(networks)}});
  return out;
}

Report network_names(Session& session) {
  Report out;
  for (const libcni::Network& network :
       libcni::discover_networks(session.conf_dir(true)).networks) {
    out.text += cat(network.name, '\n');
  }
  return out;
}

}  // namespace cni::cnitool
