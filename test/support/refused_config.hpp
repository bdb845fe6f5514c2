// Configurations of chained plugins that are refused before anything is touched.
#pragma once

#include <string>
#include <vector>

#include "test/support/json.hpp"
#include "test/support/run_plugin.hpp"

namespace cni::test {

// The plugin in process, in a namespace that is not there: no call gets that far. type, version and
// name are filled in.
PluginRun run_without_netns(const std::string& plugin, const char* command, json config);

struct BadConfig {
  json config;
  int code;
  std::string msg_start;
};

// ADD, CHECK and STATUS refuse each of them. `prefix` stands before every message.
void check_refused(const std::string& plugin, const std::vector<BadConfig>& cases,
                   const std::string& prefix = {});

}  // namespace cni::test
