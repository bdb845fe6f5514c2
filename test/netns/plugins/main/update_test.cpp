// UPDATE of what address managers give: routes.
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"

namespace cni::test {
namespace {

using Texts = std::vector<std::string>;

json config_of(const std::string& type, const json& ipam, const json& routes) {
  json out = {{"type", type}, {"ipam", ipam}};
  out["ipam"]["routes"] = routes;
  if (type == "macvlan") out["master"] = "master0";
  return out;
}

json host_local() {
  return {{"type", "host-local"},
          {"ranges", json::parse(R"([[{"subnet":"10.30.0.0/24"}],[{"subnet":"fd00:30::/64"}]])")}};
}

json static_addresses() {
  return {{"type", "static"},
          {"addresses", json::parse(R"([{"address":"10.30.0.2/24","gateway":"10.30.0.1"},
                                        {"address":"fd00:30::2/64","gateway":"fd00:30::1"}])")}};
}

json updating(json now, const json& was) {
  now["cni.dev/update"] = {{"previous", was}};
  return now;
}

// Destination and gateway of the container's routes that are not the kernel's own.
Texts routes_in(const std::string& container) {
  Texts out;
  for (const char* family : {"-4", "-6"}) {
    for (const json& route : ip({"-j", "-n", container, family, "route", "show", "dev", "eth0"})) {
      if (route.value("protocol", "") == "kernel") continue;
      std::string text = route.at("dst");
      if (route.contains("gateway")) text += " " + route.at("gateway").get<std::string>();
      if (route.contains("metrics")) text += " " + route.at("metrics").dump();
      out.push_back(text);
    }
  }
  return out;
}

TEST_CASE("UPDATE changes the routes of a running container", "[netns]") {
  for (const std::string type : {"bridge", "macvlan", "ptp"}) {
    for (const json& ipam : {host_local(), static_addresses()}) {
      INFO(type << ' ' << ipam.dump());
      PluginNode node;
      node.spaces.container("c1");
      (void)ip({"link", "add", "master0", "type", "veth", "peer", "name", "wire0"});
      for (const char* link : {"master0", "wire0"}) (void)ip({"link", "set", link, "up"});
      const json was = config_of(type, ipam, json::parse(R"([{"dst":"10.50.0.0/16"},
          {"dst":"10.51.0.0/16","gw":"10.30.0.9"},{"dst":"fd00:50::/64"}])"));
      const json now = config_of(type, ipam, json::parse(R"([{"dst":"10.52.0.0/16"},
          {"dst":"10.51.0.0/16","gw":"10.30.0.9","mtu":1300},{"dst":"fd00:51::/64"}])"));
      const json result = node.add(was);
      const Texts before = routes_in("c1");

      json trial = updating(now, was);
      trial["cni.dev/update"]["trial"] = true;
      CHECK(node.run("UPDATE", trial, "c1", result).ok());
      CHECK(routes_in("c1") == before);

      const PluginRun run = node.run("UPDATE", updating(now, was), "c1", result);
      INFO(run.describe());
      REQUIRE(run.ok());
      CHECK(run.document.at("changed").at(0).at("key") == "ipam.routes");
      const json& after = run.document.at("result");
      CHECK(after.at("ips") == result.at("ips"));
      CHECK(after.at("routes").dump().find("10.50.0.0/16") == std::string::npos);
      CHECK(after.at("routes").dump().find("10.52.0.0/16") != std::string::npos);
      const std::string text = json(routes_in("c1")).dump();
      INFO(text);
      CHECK(text.find("10.50.0.0/16") == std::string::npos);
      CHECK(text.find("10.52.0.0/16 10.30.0.1") != std::string::npos);
      CHECK(text.find("\"mtu\\\":1300") != std::string::npos);
      CHECK(text.find("fd00:50::/64") == std::string::npos);
      CHECK(text.find("fd00:51::/64 fd00:30::1") != std::string::npos);
      CHECK(node.run("CHECK", now, "c1", after).ok());
      CHECK_FALSE(node.run("CHECK", was, "c1", result).ok());

      // Again, as after an update whose end nobody has seen; and back.
      CHECK(node.run("UPDATE", updating(now, was), "c1", result).ok());
      CHECK(json(routes_in("c1")).dump() == text);
      CHECK(node.run("UPDATE", updating(was, now), "c1", after).ok());
      CHECK(routes_in("c1") == before);
    }
  }
}

TEST_CASE("UPDATE refuses what of an interface cannot change", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  const json was = config_of("bridge", host_local(), json::array());
  const json result = node.add(was);
  const auto refusal = [&](const json& now) {
    const PluginRun run = node.run("UPDATE", updating(now, was), "c1", result);
    INFO(run.describe());
    CHECK_FALSE(run.ok());
    CHECK(run.document.at("code") == 108);
    return run.document.at("msg").get<std::string>();
  };
  json now = was;
  now["mtu"] = 1400;
  CHECK(refusal(now) == "plugin bridge cannot change mtu: nothing to 1400 of a running attachment");
  now = was;
  now["ipam"]["type"] = "static";
  CHECK(refusal(now).starts_with(
      R"(ipam.type cannot change from "host-local" to "static" of a running attachment)"));
  now = was;
  now["ipam"]["ranges"][0][0]["subnet"] = "10.31.0.0/24";
  CHECK(refusal(now).starts_with("plugin host-local cannot change ipam.ranges"));
  now = was;
  now["runtimeConfig"]["ips"] = json::array({"10.30.0.77/24"});
  CHECK(refusal(now).starts_with("plugin bridge cannot change runtimeConfig.ips"));
}

TEST_CASE("UPDATE refuses routes that another plugin has moved to its own table", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  const json was = config_of("bridge", host_local(), json::array());
  const json result = node.add(was);
  for (const char* family : {"-4", "-6"}) {
    (void)ip({"-n", "c1", family, "route", "flush", "dev", "eth0", "table", "main"});
  }
  (void)ip({"-n", "c1", "route", "add", "10.30.0.0/24", "dev", "eth0", "table", "100"});
  const json now = config_of("bridge", host_local(), json::parse(R"([{"dst":"10.52.0.0/16"}])"));
  const PluginRun run = node.run("UPDATE", updating(now, was), "c1", result);
  INFO(run.describe());
  CHECK(run.document.at("code") == 108);
  CHECK(run.document.at("msg").get<std::string>().find("they were moved to table 100") !=
        std::string::npos);
  CHECK(ip({"-j", "-n", "c1", "-4", "route", "show", "table", "main"}).empty());
}

}  // namespace
}  // namespace cni::test
