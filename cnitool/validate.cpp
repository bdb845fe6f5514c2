#include "cnitool/validate.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cnitool/commands.hpp"
#include "cnitool/output.hpp"
#include "cnitool/plugin_versions.hpp"
#include "cnitool/settings.hpp"
#include "libcni/discovery.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/json.hpp"
#include "pkg/types/version.hpp"

namespace cni::cnitool {
namespace {

using libcni::Problem;
using libcni::Severity;
using nlohmann::json;

json to_json(const Problem& problem) {
  json out = {{"severity", libcni::to_string(problem.severity)},
              {"path", problem.path},
              {"message", problem.sentence}};
  if (!problem.value.empty()) {
    const json value = json::parse(problem.value, nullptr, false);
    out["value"] = value.is_discarded() ? json(problem.value) : value;
  }
  if (!problem.hint.empty()) out["hint"] = problem.hint;
  return out;
}

// The name that a broken file gives to its network; empty if it cannot be told.
std::string name_in(const std::string& path) {
  const json document = json::parse(os::read_file(path).value_or(""), nullptr, false);
  if (!document.is_object()) return {};
  const auto name = document.find("name");
  return name != document.end() && name->is_string() ? name->get<std::string>() : std::string();
}

// The file that the argument is about, which may be broken.
std::string file_of(Session& session) {
  const std::string& argument = session.line().arguments.at(0);
  if (argument.find('/') != std::string::npos) return argument;
  try {
    return session.network().file;
  } catch (const Error&) {
    for (const libcni::BrokenFile& broken : libcni::discover_networks(session.conf_dir()).broken) {
      if (name_in(broken.path) == argument) return broken.path;
    }
    if (is_network_file(argument) && os::read_file(argument)) return argument;
    throw;
  }
}

libcni::ConfigKind kind_of(const std::string& path) {
  return path.ends_with(".conflist") ? libcni::ConfigKind::kList : libcni::ConfigKind::kDetect;
}

// Whether the file holds a list; a list may also stand in a .conf or .json file.
bool is_list(const std::string& path) {
  const json document = json::parse(os::read_file(path).value_or(""), nullptr, false);
  return path.ends_with(".conflist") || (document.is_object() && document.contains("plugins"));
}

bool has_errors(const std::vector<Problem>& problems) {
  return std::any_of(problems.begin(), problems.end(),
                     [](const Problem& each) { return each.severity == Severity::kError; });
}

void append(std::vector<Problem> more, std::vector<Problem>& out) {
  std::move(more.begin(), more.end(), std::back_inserter(out));
}

// What is wrong with the plugins in files of their own beside the list.
std::vector<Problem> folder_problems(const libcni::Network& network) {
  std::vector<Problem> out;
  for (const libcni::PluginConfig& plugin : network.plugins) {
    if (plugin.file.empty()) continue;
    const json list = {{"cniVersion", version_or_default(network.cni_version)},
                       {"name", network.name},
                       {"plugins", json::array({*plugin.document})}};
    for (Problem& problem : libcni::validate_config(list.dump(), libcni::ConfigKind::kList)) {
      problem.path = cat(plugin.file, ": ", problem.path);
      out.push_back(std::move(problem));
    }
  }
  return out;
}

// What is wrong between this network and the others of its folder.
std::vector<Problem> conflicts_with_others(const std::string& path) {
  const std::string folder = path.find('/') == std::string::npos ? "." : os::folder_of(path);
  std::vector<libcni::ConfigFile> files;
  for (const std::string& name : os::list_directory(folder)) {
    if (!is_network_file(name)) continue;
    const std::string file =
        folder == "." && path.find('/') == std::string::npos ? name : cat(folder, '/', name);
    if (auto text = os::read_file(file)) files.push_back({file, *std::move(text)});
  }
  std::vector<Problem> out;
  for (libcni::FileProblem& found : libcni::find_conflicts(files)) {
    // Each is told once, of one of its two files.
    if (found.file != path) {
      if (found.problem.hint.find(path) == std::string::npos) continue;
      found.problem.path = cat(found.file, ": ", found.problem.path);
    }
    out.push_back(std::move(found.problem));
  }
  return out;
}

// The plugins that a broken file names, as far as they can be told.
libcni::Network salvaged_network(const std::string& path) {
  const json document = json::parse(os::read_file(path).value_or(""), nullptr, false);
  libcni::Network out;
  if (!document.is_object()) return out;
  const auto version = document.find("cniVersion");
  if (version != document.end() && version->is_string()) {
    out.cni_version = version->get<std::string>();
  }
  const auto listed = document.find("plugins");
  const json plugins =
      listed != document.end() && listed->is_array() ? *listed : json::array({document});
  for (const json& plugin : plugins) {
    // One that has no type keeps its place, so that the paths of the others are right.
    libcni::PluginConfig config;
    config.document = std::make_shared<const json>(plugin);
    if (plugin.is_object() && plugin.value("type", json()).is_string()) {
      config.type = plugin["type"].get<std::string>();
    }
    out.plugins.push_back(std::move(config));
  }
  return out;
}

// What the network as libcni reads it has wrong, as far as it can be read.
std::vector<Problem> network_problems(Session& session, const std::string& path,
                                      bool is_known_broken) {
  libcni::Network network;
  std::vector<Problem> out;
  try {
    network = load_any_network(path);
    out = folder_problems(network);
  } catch (const Error& error) {
    network = salvaged_network(path);
    if (!is_known_broken) {
      out.push_back({.path = {}, .value = {}, .sentence = error.what(), .hint = {}});
    }
  }
  append(plugin_problems(session.runtime(), network, session.call_options()), out);
  if (!is_list(path)) {
    // The file is the plugin's own object.
    constexpr std::string_view kOnly = "plugins[0].";
    for (Problem& problem : out) {
      if (problem.path.starts_with(kOnly)) problem.path.erase(0, kOnly.size());
    }
  }
  return out;
}

}  // namespace

std::vector<Problem> plugin_problems(const libcni::Runtime& runtime, const libcni::Network& network,
                                     const libcni::CallOptions& options) {
  std::vector<Problem> out;
  for (const AskedPlugin& plugin : ask_plugins(runtime, network, options)) {
    if (plugin.error) {
      out.push_back({.path = plugin.place,
                     .value = quote(plugin.type),
                     .sentence = plugin.error->what(),
                     .hint = {}});
    } else if (!plugin.fits) {
      out.push_back({.path = plugin.place,
                     .value = quote(plugin.type),
                     .sentence = cat("plugin ", plugin.type, " does not support config version ",
                                     quote(version_or_default(network.cni_version))),
                     .hint = cat("it supports ", joined(plugin.supported, ", "))});
    }
  }
  return out;
}

Report validate(Session& session) {
  const std::string path = file_of(session);
  const auto text = os::read_file(path);
  if (!text) throw Error(Code::kIoFailure, cat("there is no file ", path));
  std::vector<Problem> problems = libcni::validate_config(*text, kind_of(path));
  append(network_problems(session, path, has_errors(problems)), problems);
  append(conflicts_with_others(path), problems);

  Report out;
  json list = json::array();
  for (const Problem& problem : problems) {
    list.push_back(to_json(problem));
    out.text += cat(libcni::to_string(problem), '\n');
  }
  const bool valid = !has_errors(problems);
  out.status = valid ? 0 : 1;
  out.document =
      std::make_shared<json>(json{{"file", path}, {"valid", valid}, {"problems", std::move(list)}});
  return out;
}

}  // namespace cni::cnitool
