// VLANs of bridge: what the port and the gateway interface get, and what goes with them.
#include <functional>

#include "test/netns/plugins/main/bridge_vlan_config.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"
#include "test/support/skip.hpp"
#include "test/support/snapshot.hpp"

using namespace cni::test;

namespace {

std::string port_of(const json& result) {
  return result.at("interfaces")[1].at("name").get<std::string>();
}

bool filters(const std::string& bridge_name) {
  const json link = find_link_json("", bridge_name).value();
  return link.at("linkinfo").at("info_data").at("vlan_filtering") == 1;
}

}  // namespace

TEST_CASE("VLANs without kernel support are refused by name and nothing is left", "[netns]") {
  require_kind("bridge");
  if (has_bridge_vlans()) skip("this kernel has bridge VLAN filtering");
  PluginNode node;
  node.spaces.container("c1");
  const std::string message =
      "the kernel has no bridge VLAN filtering support (CONFIG_BRIDGE_VLAN_FILTERING)";
  const json trunk = bridge_with({{"vlanTrunk", {{{"id", 5}}}}});
  const bool there = GENERATE(false, true);
  if (there) (void)ip({"link", "add", "cni0", "type", "bridge"});
  const Snapshot before = take({"c1"});
  for (const json& config : {gateway_of(100), trunk}) {
    CAPTURE(config);
    check_error(node.run("ADD", config), 107, message);
    check_error(node.run("STATUS", config), 50, message);
    node.del(config);
    CHECK(diff(before, take({"c1"})) == "");
  }
  CHECK(node.run("STATUS", bridge_with({{"preserveDefaultVlan", true}})).ok());
  (void)node.add(bridge_with({{"preserveDefaultVlan", true}}));
}

TEST_CASE("each VLAN key gives the port what it says", "[netns]") {
  require_bridge_vlans();
  struct Row {
    json config;
    std::string vlans;
  };
  const json range = {{"minID", 200}, {"maxID", 300}};
  const auto [config, vlans] = GENERATE_COPY(values<Row>({
      {{{"vlan", 100}}, "100 PVID Egress Untagged"},
      {{{"vlan", 4094}}, "4094 PVID Egress Untagged"},
      {{{"vlan", 1}}, "1 PVID Egress Untagged"},
      {{{"vlan", 100}, {"preserveDefaultVlan", true}},
       "1 Egress Untagged; 100 PVID Egress Untagged"},
      {{{"vlanTrunk", {range, {{"id", 7}}}}}, "1 PVID Egress Untagged; 7; 200-300"},
      {{{"vlanTrunk", {range, {{"id", 7}}}}, {"preserveDefaultVlan", true}},
       "1 PVID Egress Untagged; 7; 200-300"},
      // Overlapping, unordered, twice.
      {{{"vlan", 5},
        {"vlanTrunk",
         {{{"minID", 250}, {"maxID", 310}, {"id", 301}}, range, {{"id", 311}}, {{"id", 311}}}}},
       "5 PVID Egress Untagged; 200-311"},
      // The VLAN of untagged frames stays that.
      {{{"vlan", 250}, {"vlanTrunk", {range}}}, "200-249; 250 PVID Egress Untagged; 251-300"},
      {{{"vlanTrunk", {{{"minID", 1}, {"maxID", 4094}}}}}, "1 PVID Egress Untagged; 2-4094"},
      {{{"vlanTrunk", {{{"id", 4094}}}}, {"preserveDefaultVlan", true}, {"vlan", 2}},
       "1 Egress Untagged; 2 PVID Egress Untagged; 4094"},
  }));
  CAPTURE(config);
  PluginNode node;
  node.spaces.container("c1");
  const json whole = bridge_with(config);
  const json result = node.add(whole);
  CHECK(filters("cni0"));
  CHECK(vlans_shown(port_of(result)) == vlans);
  CHECK(vlans_shown("cni0") == "1 PVID Egress Untagged");
  CHECK(result.at("interfaces").size() == 3);
  node.check(whole, result);
  node.del(whole, "c1", result);
}

TEST_CASE("without VLANs the bridge does not filter", "[netns]") {
  require_bridge_vlans();
  PluginNode node;
  node.spaces.container("c1");
  const json config =
      bridge_with({{"vlan", 0}, {"vlanTrunk", json::array()}, {"preserveDefaultVlan", true}});
  (void)node.add(config);
  CHECK_FALSE(filters("cni0"));
}

TEST_CASE("a bridge that does not keep VLANs apart is refused", "[netns]") {
  require_bridge_vlans();
  PluginNode node;
  node.spaces.container("c1");
  (void)ip({"link", "add", "cni0", "type", "bridge"});
  const Snapshot before = take({"c1"});
  const PluginRun refused = node.run("ADD", gateway_of(100));
  check_error(refused, 106, "bridge \"cni0\" does not keep VLANs apart: its vlan_filtering is off");
  CHECK(refused.details().find("ip link set cni0 type bridge vlan_filtering 1") !=
        std::string::npos);
  check_error(node.run("STATUS", gateway_of(100)), 50, "bridge \"cni0\" does not keep VLANs apart");
  CHECK(diff(before, take({"c1"})) == "");
  CHECK(node.run("STATUS", bridge_with()).ok());

  // What the message says helps.
  (void)ip({"link", "set", "cni0", "type", "bridge", "vlan_filtering", "1"});
  (void)node.add(gateway_of(100));
}

TEST_CASE("the default VLAN of the bridge is another one", "[netns]") {
  require_bridge_vlans();
  const int default_vlan = GENERATE(0, 7);
  PluginNode node;
  node.spaces.container("c1");
  (void)ip({"link", "add", "cni0", "type", "bridge", "vlan_filtering", "1", "vlan_default_pvid",
            std::to_string(default_vlan)});
  const auto vlans_with = [&](const json& more) {
    const json config = bridge_with(more);
    const json result = node.add(config);
    node.check(config, result);
    const std::string vlans = vlans_shown(port_of(result));
    node.del(config, "c1", result);
    return vlans;
  };
  CHECK(vlans_with({{"vlan", 100}}) == "100 PVID Egress Untagged");
  const std::string kept = default_vlan == 7 ? "7 Egress Untagged; " : "";
  CHECK(vlans_with({{"vlan", 100}, {"preserveDefaultVlan", true}}) ==
        kept + "100 PVID Egress Untagged");
}

TEST_CASE("CHECK names each difference of a VLAN", "[netns]") {
  require_bridge_vlans();
  struct Damage {
    std::string message;
    std::function<void(const json& result)> inflict;
  };
  const auto vlan = [](const char* verb, const std::string& port, const char* id) {
    run_ok({"bridge", "vlan", verb, "dev", port, "vid", id});
  };
  const std::vector<Damage> damages = {
      {"Bridge cni0 does not keep VLANs apart: its vlan_filtering is off",
       [](const json&) {
         (void)ip({"link", "set", "cni0", "type", "bridge", "vlan_filtering", "0"});
       }},
      {"VLANs of port $PORT do not match: 100 (PVID, untagged), 200-300 configured, "
       "100 (PVID, untagged), 200-250, 252-300 in the kernel",
       [&](const json& result) { vlan("del", port_of(result), "251"); }},
      {"VLANs of port $PORT do not match: 100 (PVID, untagged), 200-300 configured, "
       "100, 200-300 in the kernel",
       [&](const json& result) { vlan("add", port_of(result), "100"); }},
      {"VLANs of port $PORT do not match: 100 (PVID, untagged), 200-300 configured, "
       "100 (PVID, untagged), 200-300, 4000 in the kernel",
       [&](const json& result) { vlan("add", port_of(result), "4000"); }},
      {"gateway interface cni0.100 not found",
       [](const json&) {
         (void)ip({"link", "del", "cni0.100"});
       }},
      {"gateway interface cni0.100 is down",
       [](const json&) {
         (void)ip({"link", "set", "cni0.100", "down"});
       }},
      {"gateway interface cni0.100 Mac doesn't match: ",
       [](const json&) {
         (void)ip({"link", "set", "cni0.100", "address", "02:00:00:00:00:07"});
       }},
      {"gateway address 10.22.0.1/16 is not on cni0.100",
       [](const json&) {
         (void)ip({"address", "flush", "dev", "cni0.100"});
       }},
      {"port $GATEWAY of gateway interface cni0.100 is not a port of bridge cni0",
       [](const json&) {
         (void)ip({"link", "set", gateway_port("cni0.100"), "nomaster"});
       }},
      {"VLANs of port $GATEWAY of gateway interface cni0.100 do not match: 100 (PVID, untagged) "
       "configured, none in the kernel",
       [&](const json&) { vlan("del", gateway_port("cni0.100"), "100"); }},
      {"\"cni0.100\" already exists but is not the gateway",
       [](const json&) {
         (void)ip({"link", "del", "cni0.100"});
         (void)ip({"link", "add", "cni0.100", "type", "bridge"});
       }},
  };
  for (const Damage& damage : damages) {
    CAPTURE(damage.message);
    PluginNode node;
    node.spaces.container("c1");
    const json config = gateway_of(100, {{"vlanTrunk", {{{"minID", 200}, {"maxID", 300}}}}});
    const json result = node.add(config);
    node.check(config, result);
    std::string message = damage.message;
    const auto fill_in = [&](const std::string& word, const std::string& name) {
      const std::size_t at = message.find(word);
      if (at != std::string::npos) message.replace(at, word.size(), name);
    };
    fill_in("$PORT", port_of(result));
    fill_in("$GATEWAY", gateway_port("cni0.100"));
    damage.inflict(result);
    check_error(node.run("CHECK", config, "c1", result), 105, message);
  }
}
