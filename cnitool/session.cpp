#include "cnitool/session.hpp"

#include <unistd.h>

#include <algorithm>

#include "cnitool/output.hpp"
#include "cnitool/settings.hpp"
#include "libcni/discovery.hpp"
#include "pkg/os/file.hpp"
#include "pkg/skel/request.hpp"

namespace cni::cnitool {
namespace {

constexpr std::string_view kDefaultConfDir = "/etc/cni/net.d";
constexpr std::string_view kDefaultPluginFolder = "/opt/cni/bin";

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

bool holds_networks(const std::string& folder) {
  const std::vector<std::string> names = os::list_directory(folder);
  return std::any_of(names.begin(), names.end(), is_network_file);
}

// The examples of the source tree that the program lies in; absent elsewhere.
std::optional<std::string> example_networks(const std::string& executable) {
  const std::string root = os::folder_of(os::folder_of(executable));
  std::string folder = cat(root, "/examples/net.d");
  if (!exists(cat(root, "/cnitool/main.cpp")) || !holds_networks(folder)) return std::nullopt;
  return folder;
}

}  // namespace

Session::Session(const Surroundings& surroundings, CommandLine line)
    : surroundings_(surroundings), line_(std::move(line)) {}

std::string Session::variable(std::string_view name) const {
  return skel::environment_value(surroundings_.environment, name);
}

const std::string& Session::conf_dir(bool quietly) {
  if (!conf_dir_.empty()) return conf_dir_;
  const std::string* option = line_.value("conf-dir");
  conf_dir_ = option != nullptr ? *option : variable("NETCONFPATH");
  if (!conf_dir_.empty()) return conf_dir_;
  conf_dir_ = kDefaultConfDir;
  if (holds_networks(conf_dir_)) return conf_dir_;
  if (auto examples = example_networks(surroundings_.executable)) {
    if (!quietly) {
      print_note(surroundings_,
                 cat("no network in ", conf_dir_, "; taking the examples in ", *examples));
    }
    conf_dir_ = *std::move(examples);
  }
  return conf_dir_;
}

libcni::Network Session::network() { return find_network(line_.arguments.at(0)); }

libcni::Network Session::find_network(const std::string& name) {
  if (name.find('/') != std::string::npos) return load_any_network(name);
  try {
    return libcni::find_network(conf_dir(), name);
  } catch (const Error&) {
    // A file of the current folder, given without a slash.
    if (!is_network_file(name) || !exists(name)) throw;
    return load_any_network(name);
  }
}

std::vector<std::string> Session::plugin_folders() const {
  const std::string* option = line_.value("cni-path");
  std::vector<std::string> out = split_folders(option != nullptr ? *option : variable("CNI_PATH"));
  if (out.empty()) {
    out = {std::string(kDefaultPluginFolder)};
    const std::string own = os::folder_of(surroundings_.executable);
    if (own != out[0]) out.push_back(own);
  }
  return out;
}

std::string Session::cache_dir() const {
  const std::string* option = line_.value("cache-dir");
  return option != nullptr ? *option : std::string(libcni::Cache::kDefaultFolder);
}

const libcni::Runtime& Session::runtime() {
  if (runtime_) return *runtime_;
  libcni::RuntimeSettings settings;
  settings.plugin_folders = plugin_folders();
  settings.cache_folder = cache_dir();
  settings.environment = surroundings_.environment;
  settings.err = surroundings_.err;
  if (line_.has("timing")) {
    const std::string folder = variable("TMPDIR");
    timing_ = std::make_unique<Timing>(settings.plugin_folders, surroundings_.executable,
                                       folder.starts_with('/') ? folder : "/tmp");
    settings.plugin_folders.insert(settings.plugin_folders.begin(), timing_->folder());
  }
  return runtime_.emplace(std::move(settings));
}

libcni::CallOptions Session::call_options() {
  libcni::CallOptions out;
  if (const std::string* timeout = line_.value("timeout")) out.timeout = parse_timeout(*timeout);
  out.cancellation = surroundings_.cancellation;
  out.keep_going = line_.has("keep-going");
  (void)runtime();  // which makes the timing
  if (timing_) out.on_run = [this](const libcni::PluginRun& run) { timing_->note(run); };
  return out;
}

std::string Session::ifname() const {
  if (const std::string* option = line_.value("ifname")) return *option;
  const std::string out = variable("CNI_IFNAME");
  return out.empty() ? "eth0" : out;
}

libcni::ContainerInterface Session::where() const {
  libcni::ContainerInterface out;
  out.capability_args = merge_capabilities(variable("CAP_ARGS"), line_.values("capability"));
  out.arguments = parse_arguments(variable("CNI_ARGS"));
  for (const std::string& option : line_.values("args")) {
    add_arguments(out.arguments, context("--args", [&] { return parse_arguments(option); }));
  }
  out.ifname = ifname();
  out.netns = absolute_path(line_.arguments.at(1), surroundings_.current_folder);
  const std::string* id = line_.value("container-id");
  out.container_id = id != nullptr ? *id : default_container_id(out.netns);
  return out;
}

}  // namespace cni::cnitool
