// A container with two uplinks, for the cases of sbr.
#pragma once

#include <string>
#include <vector>

#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"
#include "test/support/snapshot.hpp"

namespace cni::test {

// c1 has eth0 (10.1.0.2, fd00:1::2) and net1 (10.2.0.2, 10.3.0.2, fd00:2::2), each with default
// routes of both families, those of eth0 first.
class SbrNode : public PluginNode {
 public:
  SbrNode() {
    (void)spaces.container("c1");
    make_uplink("eth0", "1");
    make_uplink("net1", "2");
    batch("address add 10.3.0.2/24 dev net1\n");
    batch(
        "route append default via 10.1.0.1 dev eth0\nroute append default via 10.2.0.1 dev net1\n"
        "route append default via fd00:1::1 dev eth0\nroute append default via fd00:2::1 dev "
        "net1\n");
  }

  void make_uplink(const std::string& name, const std::string& number) {
    batch("link add " + name + " type veth peer name far" + number + "\nlink set far" + number +
          " up\nlink set " + name + " up\naddress add 10." + number + ".0.2/24 dev " + name +
          "\naddress add fd00:" + number + "::2/64 dev " + name + " nodad\n");
  }

  // Lines for `ip -b` in c1.
  void batch(const std::string& lines) { (void)run_ok_in("c1", {"ip", "-b", "-"}, lines); }

  void batch6(const std::string& lines) { (void)run_ok_in("c1", {"ip", "-6", "-b", "-"}, lines); }

  PluginRun sbr(const char* command, const json& prev_result, json config = json::object(),
                const char* ifname = "net1") {
    config["type"] = "sbr";
    Call call;
    call.ifname = ifname;
    return run(command, config, "c1", prev_result, call);
  }
  void succeed(const char* command, const json& prev_result, const json& config = json::object(),
               const char* ifname = "net1") {
    const PluginRun result = sbr(command, prev_result, config, ifname);
    INFO(result.describe());
    REQUIRE(result.ok());
    CHECK(result.out.empty() == (std::string(command) != "ADD"));
  }
};

// What the plugin in front says of net1, or of another interface of c1.
inline json addresses_of(const std::vector<std::pair<const char*, const char*>>& addresses,
                         const char* ifname = "net1") {
  json ips = json::array();
  for (const auto& [address, gateway] : addresses) {
    ips.push_back({{"interface", 0}, {"address", address}});
    if (*gateway != 0) ips.back()["gateway"] = gateway;
  }
  return {{"cniVersion", "1.1.0"},
          {"interfaces", {{{"name", ifname}, {"sandbox", "/run/netns/c1"}}}},
          {"ips", ips}};
}
inline json net1_of_two_families() {
  return addresses_of({{"10.2.0.2/24", "10.2.0.1"}, {"fd00:2::2/64", "fd00:2::1"}});
}

// "10.2.0.2 100" for each rule of a family that asks for a source, sorted.
inline std::vector<std::string> rules_of(const char* family) {
  std::vector<std::string> out;
  for (const json& rule : ip_in("c1", {"-j", family, "rule", "show"})) {
    if (rule.at("src") == "all") continue;
    out.push_back(rule.at("src").get<std::string>() + " " + rule.at("table").get<std::string>());
  }
  std::sort(out.begin(), out.end());
  return out;
}

// What `ip` shows of the routes in a table, a line each, sorted. Without those that the kernel
// makes in the background.
inline std::vector<std::string> routes_in(const char* family, const char* table) {
  std::vector<std::string> out;
  const std::string text = run_ok_in("c1", {"ip", family, "route", "show", "table", table});
  std::string line;
  for (const char letter : text) {
    if (letter != '\n') {
      line += letter;
      continue;
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    const bool is_automatic =
        line.find("fe80::") != std::string::npos || line.find("ff00::/8") != std::string::npos;
    if (!is_automatic) out.push_back(line);
    line.clear();
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace cni::test
