// A container "c1" for vrf, and what `ip` says of it.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"

namespace cni::test {

inline json vrf(const char* name, const json& more = json::object()) {
  json config = {{"type", "vrf"}, {"vrfname", name}};
  config.update(more);
  return config;
}

inline json ptp(const char* ipv4, const char* ipv6) {
  return {{"type", "ptp"},
          {"ipam",
           {{"type", "host-local"},
            {"ranges",
             json::array({json::array({{{"subnet", ipv4}}}), json::array({{{"subnet", ipv6}}})})},
            {"routes", json::array({{{"dst", "0.0.0.0/0"}, {"mtu", 1300}}, {{"dst", "::/0"}}})}}}};
}

// What is comparable of the routes of eth0 in a table of "c1": all but those that the kernel makes.
// `keep_kernels` has its unicast ones too.
inline json routes_of(const char* family, const std::string& table, bool keep_kernels = false) {
  json out = json::array();
  for (json route : ip({"-n", "c1", "-d", "-j", family, "route", "show", "table", table})) {
    const bool is_kernels = route.value("protocol", "") == "kernel";
    const std::string destination = route.at("dst");
    const bool is_connected =
        route.value("type", "") == "unicast" && destination.find("fe80") == std::string::npos;
    if (is_kernels && !(keep_kernels && is_connected)) continue;
    for (const char* key : {"table", "expires", "flags"}) route.erase(key);
    if (route.value("dev", "eth0") == "eth0") out.push_back(route);
  }
  return out;
}

inline json all_routes(const std::string& table) {
  return {routes_of("-4", table, true), routes_of("-6", table, true)};
}

inline std::uint32_t table_of(const char* vrf) {
  return find_link_json("c1", vrf)->at("linkinfo").at("info_data").at("table");
}

inline std::optional<std::string> master_of(const std::string& link) {
  const json found = find_link_json("c1", link).value();
  if (!found.contains("master")) return std::nullopt;
  return found.at("master").get<std::string>();
}

class VrfNode : public PluginNode {
 public:
  VrfNode() {
    require_kind("vrf");
    (void)spaces.container("c1");
  }

  PluginRun run_on(const std::string& ifname, const char* command, const json& config,
                   const json& prev_result = json::object()) {
    Call call;
    call.ifname = ifname;
    return run(command, config, "c1", prev_result, call);
  }

  void add_on(const std::string& ifname, const json& config) {
    const PluginRun added = run_on(ifname, "ADD", config);
    INFO(added.describe());
    REQUIRE(added.ok());
  }

  void del_on(const std::string& ifname, const json& config) {
    const PluginRun deleted = run_on(ifname, "DEL", config, nullptr);
    INFO(deleted.describe());
    REQUIRE(deleted.ok());
  }
};

// A link of the container with a carrier.
inline void make_link(const std::string& name) {
  (void)ip({"-n", "c1", "link", "add", name, "type", "veth", "peer", "name", "peer-" + name});
  for (const std::string& end : {"peer-" + name, name}) {
    (void)ip({"-n", "c1", "link", "set", end, "up"});
  }
}

// Until the kernel has ended duplicate address detection.
inline void wait_for_detection(const std::string& link) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (ipv6_addresses_on("c1", link).dump().find("tentative") != std::string::npos) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
  }
}

}  // namespace cni::test
