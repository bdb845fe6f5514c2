// The bridge as a gateway, and CHECK of everything that ADD makes.
#include <functional>

#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"

using namespace cni::test;

namespace {

json gateway_config(const std::string& subnet, const json& more = json::object()) {
  json config = {{"type", "bridge"},
                 {"bridge", "cni0"},
                 {"isGateway", true},
                 {"ipam", {{"type", "host-local"}, {"subnet", subnet}}}};
  config.update(more);
  return config;
}

}  // namespace

TEST_CASE("isGateway puts the subnet's first address on the bridge and enables forwarding",
          "[netns]") {
  const auto [subnet, gateway, forwarding] = GENERATE(table<std::string, std::string, std::string>(
      {{"10.22.0.0/16", "10.22.0.1/16", "net/ipv4/ip_forward"},
       {"fd00:22::/64", "fd00:22::1/64", "net/ipv6/conf/all/forwarding"}}));
  PluginNode node;
  node.spaces.container("c1");
  REQUIRE(sysctl("", forwarding) == "0");
  (void)node.add(gateway_config(subnet));
  CHECK(addresses_on("", "cni0") == std::vector<std::string>{gateway});
  CHECK(sysctl("", forwarding) == "1");
}

TEST_CASE("isDefaultGateway adds one default route for each family", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  json config = gateway_config("10.22.0.0/16", {{"isDefaultGateway", true}, {"isGateway", false}});
  config["ipam"] = {{"type", "host-local"},
                    {"ranges", json::array({json::array({{{"subnet", "10.22.0.0/16"}}}),
                                            json::array({{{"subnet", "fd00:22::/64"}}})})}};
  const json result = node.add(config);
  CHECK(result.at("routes") == json::array({{{"dst", "0.0.0.0/0"}, {"gw", "10.22.0.1"}},
                                            {{"dst", "::/0"}, {"gw", "fd00:22::1"}}}));
  const auto gateway_of_default = [](const char* family) {
    const json routes = ip({"-n", "c1", "-j", family, "route", "show", "default"});
    REQUIRE(routes.size() == 1);
    return routes[0].at("gateway").get<std::string>();
  };
  CHECK(gateway_of_default("-4") == "10.22.0.1");
  CHECK(gateway_of_default("-6") == "fd00:22::1");
}

TEST_CASE("a bridge with another IPv4 address is refused unless forceAddress replaces it",
          "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  (void)ip({"link", "add", "cni0", "type", "bridge"});
  (void)ip({"address", "add", "10.99.0.1/24", "dev", "cni0"});
  const PluginRun refused = node.run("ADD", gateway_config("10.22.0.0/16"));
  check_error(refused, 106,
              "failed to set bridge addr: \"cni0\" already has an IP address different from "
              "10.22.0.1/16");
  CHECK(refused.details().find("10.99.0.1/24") != std::string::npos);
  CHECK(addresses_on("", "cni0") == std::vector<std::string>{"10.99.0.1/24"});

  (void)node.add(gateway_config("10.22.0.0/16", {{"forceAddress", true}}));
  CHECK(addresses_on("", "cni0") == std::vector<std::string>{"10.22.0.1/16"});
}

TEST_CASE("IPv6 gateways live side by side unless their subnets overlap", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  (void)ip({"link", "add", "cni0", "type", "bridge"});
  (void)ip({"link", "set", "cni0", "up"});
  (void)ip({"address", "add", "fd00:99::1/64", "dev", "cni0", "nodad"});
  (void)node.add(gateway_config("fd00:22::/64"));
  CHECK(addresses_on("", "cni0").size() == 2);

  node.spaces.container("c2");
  check_error(node.run("ADD", gateway_config("fd00:22::/48"), "c2"), 106,
              "failed to set bridge addr: \"cni0\" already has an IP address different from");
}

TEST_CASE("two IPv4 ranges share a bridge", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  json config = gateway_config("10.22.0.0/16");
  config["ipam"] = {{"type", "host-local"},
                    {"ranges", json::array({json::array({{{"subnet", "10.22.0.0/16"}}}),
                                            json::array({{{"subnet", "10.23.0.0/16"}}})})}};
  const json result = node.add(config);
  CHECK(addresses_on("", "cni0") == std::vector<std::string>{"10.22.0.1/16", "10.23.0.1/16"});
  node.check(config, result);
}

TEST_CASE("CHECK names each thing that is missing", "[netns]") {
  struct Damage {
    std::string message;
    std::function<void(const json& result)> inflict;
  };
  const auto on_port = [](const json& result) {
    return result.at("interfaces")[1].at("name").get<std::string>();
  };
  const std::vector<Damage> damages = {
      {"Failed to match addr 10.22.0.2/16 on interface eth0",
       [](const json&) {
         (void)ip({"-n", "c1", "address", "flush", "dev", "eth0"});
       }},
      {"Expected Route 0.0.0.0/0 via 10.22.0.1 not found in routing table",
       [](const json&) {
         (void)ip({"-n", "c1", "route", "del", "default"});
       }},
      {"gateway address 10.22.0.1/16 is not on bridge cni0",
       [](const json&) {
         (void)ip({"address", "flush", "dev", "cni0"});
       }},
      {"CNI veth created for bridge cni0 was not found",
       [&](const json& result) {
         (void)ip({"link", "set", on_port(result), "nomaster"});
       }},
      {"isolation of port",
       [&](const json& result) {
         (void)run_ok({"bridge", "link", "set", "dev", on_port(result), "isolated", "off"});
       }},
      {"Interface eth0 Mac 02:00:00:00:00:09 doesn't match container mac",
       [](const json&) {
         (void)ip({"-n", "c1", "link", "set", "eth0", "address", "02:00:00:00:00:09"});
       }},
      {"Container Interface name in prevResult: eth0 not found",
       [](const json&) {
         (void)ip({"-n", "c1", "link", "set", "eth0", "down"});
         (void)ip({"-n", "c1", "link", "set", "eth0", "name", "other"});
       }},
      {"Bridge cni0 Mac doesn't match",
       [](const json&) {
         (void)ip({"link", "set", "cni0", "address", "02:00:00:00:00:08"});
       }},
      {"failed to lookup \"cni0\": no such device",
       [](const json&) {
         (void)ip({"link", "del", "cni0"});
       }},
  };
  for (const Damage& damage : damages) {
    CAPTURE(damage.message);
    PluginNode node;
    node.spaces.container("c1");
    const json config =
        gateway_config("10.22.0.0/16", {{"isDefaultGateway", true}, {"portIsolation", true}});
    const json result = node.add(config);
    node.check(config, result);
    damage.inflict(result);
    const PluginRun run = node.run("CHECK", config, "c1", result);
    INFO(run.describe());
    CHECK(run.status == 1);
    CHECK(run.msg().starts_with(damage.message));
  }
}

TEST_CASE("CHECK finds masquerade and spoof check removed", "[netns]") {
  require_program("nft");
  PluginNode node;
  node.spaces.container("c1");
  const json config = gateway_config(
      "10.22.0.0/16", {{"ipMasq", true}, {"ipMasqBackend", "nftables"}, {"macspoofchk", true}});
  const json result = node.add(config);
  node.check(config, result);
  run_ok({"nft", "delete", "table", "inet", "cni_plugins_masquerade"});
  CHECK(node.run("CHECK", config, "c1", result).code() == 105);
  json without_masquerade = config;
  without_masquerade["ipMasq"] = false;
  node.check(without_masquerade, result);
  run_ok({"nft", "flush", "ruleset"});
  CHECK(node.run("CHECK", without_masquerade, "c1", result).code() == 105);
  // A flushed ruleset is no obstacle for DEL.
  node.del(config, "c1", result);
}

TEST_CASE("CHECK accepts routes that a chained plugin moved to another table", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  const json config = gateway_config("10.22.0.0/16", {{"isDefaultGateway", true}});
  const json result = node.add(config);
  (void)ip({"-n", "c1", "route", "add", "default", "via", "10.22.0.1", "table", "100"});
  (void)ip({"-n", "c1", "route", "del", "default", "table", "main"});
  node.check(config, result);
}
