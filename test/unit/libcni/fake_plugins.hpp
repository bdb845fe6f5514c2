// Plugins that are shell scripts, and a runtime that runs them.
#pragma once

#include <sys/stat.h>

#include <string>
#include <utility>
#include <vector>

#include "libcni/runtime.hpp"
#include "pkg/types/error.hpp"
#include "test/support/json.hpp"
#include "test/support/temporary_folder.hpp"

namespace cni::libcni {

class FakePlugins {
 public:
  // What a plugin begins with: it notes its call as one JSON line in the log; $config is its input.
  static constexpr const char* kNote = R"(#!/bin/sh
config=$(cat)
self=${0##*/}
printf '%s %s %s\n' "$CNI_COMMAND" "$self" "$config" >>"$LOG"
)";

  // A plugin that succeeds: ADD prints `result`.
  void plant(const std::string& type, const std::string& result = R"({"cniVersion":"1.1.0"})") {
    plant_script(type, cat("[ $CNI_COMMAND != ADD ] || echo '", result, "'"));
  }
  // A plugin that goes on with a script of its own.
  void plant_script(const std::string& type, const std::string& script) {
    const std::string path = cat(plugins(), '/', type);
    test::write_file(path, cat(kNote, script, "\n"));
    REQUIRE(::chmod(path.c_str(), 0755) == 0);
  }

  std::string plugins() const { return folder_.path(); }
  std::string cache() const { return folder_ / "cache"; }
  std::string path(const std::string& name) const { return folder_ / name; }

  Runtime runtime() const {
    return Runtime({.plugin_folders = {folder_.path()},
                    .cache_folder = cache(),
                    .environment = {"PATH=/usr/bin:/bin", cat("LOG=", folder_ / "log"),
                                    "CNI_NETNS=/of/somebody/else", "TRACEPARENT=inherited"},
                    .err = -1});
  }

  struct Noted {
    std::string call;  // "ADD first"
    test::json config;
  };
  // The calls since the last time.
  std::vector<Noted> take_log() {
    std::vector<Noted> out;
    std::string text;
    if (::access((folder_ / "log").c_str(), F_OK) == 0) text = test::file_text(folder_ / "log");
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = text.find('\n', at);
      const std::string line = text.substr(at, end - at);
      const std::size_t brace = line.find('{');
      out.push_back({line.substr(0, brace - 1), test::json::parse(line.substr(brace))});
      at = end + 1;
    }
    test::write_file(folder_ / "log", "");
    return out;
  }
  std::string take_calls() {
    std::string out;
    for (const Noted& noted : take_log()) out += cat(out.empty() ? "" : ", ", noted.call);
    return out;
  }

 private:
  test::TemporaryFolder folder_;
};

// A network of plugins of these types.
inline Network network_of(const std::vector<std::string>& types,
                          const std::string& version = "1.1.0",
                          const test::json& more = test::json::object()) {
  test::json list = {{"cniVersion", version}, {"name", "net"}, {"plugins", test::json::array()}};
  for (const std::string& type : types) list["plugins"].push_back({{"type", type}});
  list.update(more);
  return parse_network_list(list.dump());
}

inline ContainerInterface container(const std::string& id = "one") {
  return {.container_id = id,
          .netns = cat("/run/netns/", id),
          .ifname = "eth0",
          .arguments = {},
          .capability_args = {}};
}

// What an error says, with its code in front; "no error" without one.
template <class Fn>
std::string failure_of(Fn&& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return cat(static_cast<unsigned>(error.code), " ", error.what());
  }
  return "no error";
}

}  // namespace cni::libcni
