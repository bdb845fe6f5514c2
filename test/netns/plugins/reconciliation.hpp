// What RECONCILE did: its answer, and the rules before and after.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/run_plugin.hpp"

namespace cni::test {

using Texts = std::vector<std::string>;

// What a RECONCILE that succeeded has put back.
inline Texts restored(const PluginRun& run) {
  INFO(run.describe());
  REQUIRE(run.ok());
  Texts out;
  for (const json& each : run.document.at("restored")) out.push_back(each.at("what"));
  return out;
}

// With handles: the same only if nothing was added or removed.
inline std::string ruleset() { return run_ok({"nft", "-s", "-a", "list", "ruleset"}); }

inline void erase_all(std::string& text, const std::string& part) {
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part)) {
    text.erase(at, part.size());
  }
}

// The lines of the ruleset, without their handles, packet counters and places in lists of elements.
inline Texts rules() {
  Texts out;
  std::string line;
  for (const char c : run_ok({"nft", "-s", "list", "ruleset"})) {
    if (c != '\n') {
      line += c;
      continue;
    }
    for (const char* part : {"elements = { ", " }", ",", "\t"}) erase_all(line, part);
    const std::size_t packets = line.find("counter packets ");
    if (packets != std::string::npos) {
      const std::size_t bytes = line.find(" bytes ", packets) + 7;
      line.erase(packets, line.find_first_not_of("0123456789", bytes) - packets);
    }
    line.erase(0, line.find_first_not_of(' '));
    out.push_back(std::move(line));
    line.clear();
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace cni::test
