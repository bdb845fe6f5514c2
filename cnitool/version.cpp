#include <algorithm>
#include <nlohmann/json.hpp>

#include "cnitool/commands.hpp"
#include "cnitool/output.hpp"
#include "cnitool/plugin_versions.hpp"
#include "pkg/types/version.hpp"

namespace cni::cnitool {
namespace {

using nlohmann::json;

AskedPlugin ask(const libcni::Runtime& runtime, const libcni::CallOptions& options,
                const std::string& type, std::string_view wanted) {
  AskedPlugin out;
  out.type = type;
  try {
    out.path = runtime.find_plugin(type);
    out.supported = runtime.version(type, options).supported;
    out.fits = std::find(out.supported.begin(), out.supported.end(), wanted) != out.supported.end();
  } catch (const Error& error) {
    out.error = error;
  }
  return out;
}

json to_json(const AskedPlugin& plugin) {
  json out = {{"type", plugin.type}, {"ipam", plugin.is_ipam}, {"supported", plugin.supported}};
  if (!plugin.path.empty()) out["path"] = plugin.path;
  if (plugin.error) out["error"] = error_json(*plugin.error);
  return out;
}

std::vector<std::string> row_of(const AskedPlugin& plugin) {
  std::string note = plugin.fits ? "" : "does not support it";
  if (plugin.error) note = plugin.path.empty() ? "not found" : plugin.error->what();
  return {cat(plugin.is_ipam ? "  " : "", plugin.type),
          plugin.supported.empty() ? "-" : joined(plugin.supported, " "),
          plugin.path.empty() ? "-" : plugin.path, note};
}

}  // namespace

std::string ipam_type(const libcni::PluginConfig& plugin) {
  const json& document = *plugin.document;
  if (!document.is_object()) return {};
  const auto ipam = document.find("ipam");
  if (ipam == document.end() || !ipam->is_object()) return {};
  const auto type = ipam->find("type");
  return type != ipam->end() && type->is_string() ? type->get<std::string>() : std::string();
}

std::vector<AskedPlugin> ask_plugins(const libcni::Runtime& runtime, const libcni::Network& network,
                                     const libcni::CallOptions& options) {
  const std::string_view wanted = version_or_default(network.cni_version);
  std::vector<AskedPlugin> out;
  for (std::size_t i = 0; i < network.plugins.size(); ++i) {
    const libcni::PluginConfig& plugin = network.plugins[i];
    if (!plugin.type.empty()) {
      out.push_back(ask(runtime, options, plugin.type, wanted));
      out.back().place = cat("plugins[", i, "].type");
    }
    const std::string ipam = ipam_type(plugin);
    if (ipam.empty()) continue;
    out.push_back(ask(runtime, options, ipam, wanted));
    out.back().is_ipam = true;
    out.back().place = cat("plugins[", i, "].ipam.type");
  }
  return out;
}

Report version(Session& session) {
  const libcni::Network network = session.network();
  const std::string chosen(version_or_default(network.cni_version));
  const std::vector<AskedPlugin> asked =
      ask_plugins(session.runtime(), network, session.call_options());
  Report out;
  json plugins = json::array();
  std::vector<std::vector<std::string>> rows = {{"PLUGIN", "SUPPORTED VERSIONS", "PATH", ""}};
  for (const AskedPlugin& plugin : asked) {
    plugins.push_back(to_json(plugin));
    rows.push_back(row_of(plugin));
    if (!plugin.fits) out.status = 1;
  }
  const Surroundings& surroundings = session.surroundings();
  out.text = cat("network ", network.name, ": version ", chosen, "\n\n",
                 format_table(rows, has_colours(surroundings, surroundings.out)));
  out.document = std::make_shared<json>(json{{"network", network.name},
                                             {"cniVersion", chosen},
                                             {"supported", out.status == 0},
                                             {"plugins", std::move(plugins)}});
  return out;
}

}  // namespace cni::cnitool
