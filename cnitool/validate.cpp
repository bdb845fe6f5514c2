#include "cnitool/validate.hpp"

#include <nlohmann/json.hpp>

#include "cnitool/commands.hpp"
#include "cnitool/output.hpp"
#include "cnitool/plugin_versions.hpp"
#include "pkg/types/version.hpp"

namespace cni::cnitool {
namespace {

using nlohmann::json;

json to_json(const Problem& problem) {
  json out = {{"path", problem.path}, {"message", problem.message}};
  if (!problem.value.empty()) out["value"] = problem.value;
  if (!problem.hint.empty()) out["hint"] = problem.hint;
  return out;
}

std::string to_text(const Problem& problem) {
  return cat(problem.path, problem.value.empty() ? "" : cat(" = ", problem.value), ": ",
             problem.message, problem.hint.empty() ? "" : cat("; ", problem.hint), '\n');
}

}  // namespace

std::vector<Problem> plugin_problems(const libcni::Runtime& runtime, const libcni::Network& network,
                                     const libcni::CallOptions& options) {
  std::vector<Problem> out;
  for (const AskedPlugin& plugin : ask_plugins(runtime, network, options)) {
    if (plugin.error) {
      out.push_back({.path = plugin.place,
                     .value = quote(plugin.type),
                     .message = plugin.error->what(),
                     .hint = {}});
    } else if (!plugin.fits) {
      out.push_back({.path = plugin.place,
                     .value = quote(plugin.type),
                     .message = cat("plugin ", plugin.type, " does not support config version ",
                                    quote(version_or_default(network.cni_version))),
                     .hint = cat("it supports ", joined(plugin.supported, ", "))});
    }
  }
  return out;
}

Report validate(Session& session) {
  const libcni::Network network = session.network();
  const std::vector<Problem> problems =
      plugin_problems(session.runtime(), network, session.call_options());
  Report out;
  json list = json::array();
  for (const Problem& problem : problems) {
    list.push_back(to_json(problem));
    out.text += to_text(problem);
  }
  out.status = problems.empty() ? 0 : 1;
  out.document = std::make_shared<json>(
      json{{"network", network.name}, {"valid", problems.empty()}, {"problems", std::move(list)}});
  if (!network.file.empty()) (*out.document)["file"] = network.file;
  return out;
}

}  // namespace cni::cnitool
