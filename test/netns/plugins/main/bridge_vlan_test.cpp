// VLANs of bridge: what the port and the gateway interface get, and what goes with them.
#include <functional>

#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"
#include "test/support/skip.hpp"
#include "test/support/snapshot.hpp"

using namespace cni::test;

namespace {

json with(const json& more) {
  json config = {{"type", "bridge"},
                 {"bridge", "cni0"},
                 {"ipam", {{"type", "host-local"}, {"subnet", "10.22.0.0/16"}}}};
  config.update(more);
  return config;
}

json gateway(int vlan, const json& more = json::object()) {
  json config = with({{"vlan", vlan}, {"isGateway", true}});
  config.update(more);
  return config;
}

// As `bridge` shows the VLANs of a port: "1 PVID Egress Untagged; 5-9".
std::string vlans_of(const std::string& port) {
  std::string out;
  for (const json& link : bridge({"-j", "-compressvlans", "vlan", "show", "dev", port})) {
    for (const json& vlan : link.at("vlans")) {
      if (!out.empty()) out += "; ";
      out += std::to_string(vlan.at("vlan").get<int>());
      if (vlan.contains("vlanEnd")) out += "-" + std::to_string(vlan.at("vlanEnd").get<int>());
      for (const json& flag : vlan.value("flags", json::array())) {
        out += " " + flag.get<std::string>();
      }
    }
  }
  return out;
}

std::string port_of(const json& result) {
  return result.at("interfaces")[1].at("name").get<std::string>();
}

// The bridge's end of a gateway.
std::string gateway_port(const std::string& name) {
  return find_link_json("", name).value().at("link").get<std::string>();
}

bool exists(const std::string& link) { return find_link_json("", link).has_value(); }

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
  const json trunk = with({{"vlanTrunk", {{{"id", 5}}}}});
  const bool there = GENERATE(false, true);
  if (there) (void)ip({"link", "add", "cni0", "type", "bridge"});
  const Snapshot before = take({"c1"});
  for (const json& config : {gateway(100), trunk}) {
    CAPTURE(config);
    check_error(node.run("ADD", config), 107, message);
    check_error(node.run("STATUS", config), 50, message);
    node.del(config);
    CHECK(diff(before, take({"c1"})) == "");
  }
  CHECK(node.run("STATUS", with({{"preserveDefaultVlan", true}})).ok());
  (void)node.add(with({{"preserveDefaultVlan", true}}));
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
  const json whole = with(config);
  const json result = node.add(whole);
  CHECK(filters("cni0"));
  CHECK(vlans_of(port_of(result)) == vlans);
  CHECK(vlans_of("cni0") == "1 PVID Egress Untagged");
  CHECK(result.at("interfaces").size() == 3);
  node.check(whole, result);
  node.del(whole, "c1", result);
}

TEST_CASE("without VLANs the bridge does not filter", "[netns]") {
  require_bridge_vlans();
  PluginNode node;
  node.spaces.container("c1");
  const json config =
      with({{"vlan", 0}, {"vlanTrunk", json::array()}, {"preserveDefaultVlan", true}});
  (void)node.add(config);
  CHECK_FALSE(filters("cni0"));
}

TEST_CASE("a bridge that does not keep VLANs apart is refused", "[netns]") {
  require_bridge_vlans();
  PluginNode node;
  node.spaces.container("c1");
  (void)ip({"link", "add", "cni0", "type", "bridge"});
  const Snapshot before = take({"c1"});
  const PluginRun refused = node.run("ADD", gateway(100));
  check_error(refused, 106, "bridge \"cni0\" does not keep VLANs apart: its vlan_filtering is off");
  CHECK(refused.details().find("ip link set cni0 type bridge vlan_filtering 1") !=
        std::string::npos);
  check_error(node.run("STATUS", gateway(100)), 50, "bridge \"cni0\" does not keep VLANs apart");
  CHECK(diff(before, take({"c1"})) == "");
  CHECK(node.run("STATUS", with({})).ok());

  // What the message says helps.
  (void)ip({"link", "set", "cni0", "type", "bridge", "vlan_filtering", "1"});
  (void)node.add(gateway(100));
}

TEST_CASE("the default VLAN of the bridge is another one", "[netns]") {
  require_bridge_vlans();
  const int default_vlan = GENERATE(0, 7);
  PluginNode node;
  node.spaces.container("c1");
  (void)ip({"link", "add", "cni0", "type", "bridge", "vlan_filtering", "1", "vlan_default_pvid",
            std::to_string(default_vlan)});
  const auto vlans_with = [&](const json& more) {
    const json config = with(more);
    const json result = node.add(config);
    node.check(config, result);
    const std::string vlans = vlans_of(port_of(result));
    node.del(config, "c1", result);
    return vlans;
  };
  CHECK(vlans_with({{"vlan", 100}}) == "100 PVID Egress Untagged");
  const std::string kept = default_vlan == 7 ? "7 Egress Untagged; " : "";
  CHECK(vlans_with({{"vlan", 100}, {"preserveDefaultVlan", true}}) ==
        kept + "100 PVID Egress Untagged");
}

TEST_CASE("the gateway of a VLAN is an interface of its own", "[netns]") {
  require_bridge_vlans();
  PluginNode node;
  for (const char* name : {"c1", "c2"}) node.spaces.container(name);
  const json config = gateway(100, {{"mtu", 1400}});
  const json result = node.add(config);

  const json link = find_link_json("", "cni0.100").value();
  CHECK(link.at("linkinfo").at("info_kind") == "veth");
  CHECK(link.at("operstate") == "UP");
  CHECK(link.at("mtu") == 1400);
  REQUIRE(result.at("interfaces").size() == 4);
  CHECK(result.at("interfaces")[3] == json({{"name", "cni0.100"}, {"mac", link.at("address")}}));
  CHECK(result.at("ips")[0].at("interface") == 2);
  CHECK(addresses_on("", "cni0.100") == std::vector<std::string>{"10.22.0.1/16"});
  CHECK(addresses_on("", "cni0").empty());
  CHECK(sysctl("", "net/ipv4/ip_forward") == "1");

  const std::string port = gateway_port("cni0.100");
  CHECK(find_link_json("", port)->at("master") == "cni0");
  CHECK(vlans_of(port) == "100 PVID Egress Untagged");
  for (const std::string& end : {std::string("cni0.100"), port}) {
    CHECK(sysctl("", "net/ipv6/conf/" + end + "/accept_ra") == "0");
    // 3: set from user space, so that nothing on the host replaces it.
    CHECK(find_link_json("", "cni0.100")->at("address").get<std::string>().size() == 17);
  }

  // The next container shares it.
  const json second = node.add(config, "c2");
  CHECK(second.at("interfaces")[3] == result.at("interfaces")[3]);
  node.check(config, result);
  node.check(config, second, "c2");
}

TEST_CASE("the gateway of a VLAN goes with the last port of the VLAN", "[netns]") {
  require_bridge_vlans();
  PluginNode node;
  for (const char* name : {"c1", "c2", "c3"}) node.spaces.container(name);
  const json without_gateway = with({{"vlan", 100}});
  const json trunk = with({{"vlanTrunk", {{{"minID", 90}, {"maxID", 110}}}}});
  (void)node.add(gateway(100), "c1");
  (void)node.add(without_gateway, "c2");
  (void)node.add(trunk, "c3");
  const std::string port = gateway_port("cni0.100");

  SECTION("which is one with a gateway") {
    node.del(without_gateway, "c2");
    node.del(trunk, "c3");
    CHECK(exists("cni0.100"));
    node.del(gateway(100), "c1");
  }
  SECTION("which is one without") {
    node.del(trunk, "c3");
    node.del(gateway(100), "c1");
    CHECK(exists("cni0.100"));
    node.del(without_gateway, "c2");
  }
  SECTION("which is a trunk") {
    node.del(gateway(100), "c1");
    node.del(without_gateway, "c2");
    CHECK(exists("cni0.100"));
    node.del(trunk, "c3");
  }
  SECTION("whose keys are gone from the configuration") {
    node.del(without_gateway, "c2");
    node.del(trunk, "c3");
    const json result = {{"cniVersion", "1.1.0"},
                         {"interfaces",
                          {{{"name", "cni0"}},
                           {{"name", "veth0"}},
                           {{"name", "eth0"}, {"sandbox", "/run/netns/c1"}},
                           {{"name", "cni0.100"}}}}};
    node.del(with({}), "c1", result);
  }
  SECTION("that GC removes") {
    node.del(without_gateway, "c2");
    node.del(trunk, "c3");
    const json none = {{"cni.dev/valid-attachments", json::array()}};
    CHECK(node.run("GC", gateway(100, none)).ok());
  }
  CHECK_FALSE(exists("cni0.100"));
  CHECK_FALSE(exists(port));
  CHECK(exists("cni0"));
}

TEST_CASE("a trunk takes only those gateways along that nobody else needs", "[netns]") {
  require_bridge_vlans();
  PluginNode node;
  for (const char* name : {"c1", "c2", "c3"}) node.spaces.container(name);
  const json trunk = with({{"vlanTrunk", {{{"minID", 2}, {"maxID", 4094}}}}});
  (void)node.add(gateway(100), "c1");
  (void)node.add(gateway(200, {{"ipam", {{"type", "host-local"}, {"subnet", "10.23.0.0/16"}}}}),
                 "c2");
  (void)node.add(trunk, "c3");
  node.del(gateway(100), "c1");
  CHECK(exists("cni0.100"));
  node.del(trunk, "c3");
  CHECK_FALSE(exists("cni0.100"));
  CHECK(exists("cni0.200"));
}

TEST_CASE("a failed ADD takes its gateway back and leaves another container's", "[netns]") {
  require_bridge_vlans();
  PluginNode node;
  node.spaces.container("c1");
  node.spaces.container("c2");
  // The second gateway address is in the way of the first.
  json failing = gateway(100);
  failing["ipam"] = {{"type", "static"},
                     {"addresses", json::array({{{"address", "10.22.0.5/16"}}})},
                     {"routes", json::array({{{"dst", "192.0.2.0/24"}, {"gw", "198.51.100.1"}}})}};
  const bool shared = GENERATE(false, true);
  if (shared) (void)node.add(gateway(100), "c2");
  CHECK_FALSE(node.run("ADD", failing).ok());
  CHECK(exists("cni0.100") == shared);

  failing = gateway(100);
  failing["ipam"] = {
      {"type", "static"},
      {"addresses", json::array({{{"address", "10.22.0.5/16"}}, {{"address", "10.99.0.5/16"}}})}};
  if (!shared) {
    (void)node.add(failing);
    return;
  }
  check_error(node.run("ADD", failing), 106,
              "failed to set bridge addr: \"cni0.100\" already has an IP address different from");
  CHECK(exists("cni0.100"));
  CHECK(pings("c2", "10.22.0.1"));
}

TEST_CASE("a link of the gateway's name that is something else is refused and left alone",
          "[netns]") {
  require_bridge_vlans();
  const std::string kind = GENERATE("vlan", "dummy", "veth", "veth elsewhere");
  if (kind == "vlan" || kind == "dummy") require_kind(kind);
  CAPTURE(kind);
  PluginNode node;
  for (const char* name : {"c1", "other"}) node.spaces.container(name);
  (void)ip({"link", "add", "cni0", "type", "bridge", "vlan_filtering", "1"});
  std::string reason = "it is a link of type " + kind;
  if (kind == "vlan") {
    (void)ip({"link", "add", "link", "cni0", "name", "cni0.100", "type", "vlan", "id", "100"});
  } else if (kind == "dummy") {
    (void)ip({"link", "add", "cni0.100", "type", "dummy"});
  } else if (kind == "veth") {
    (void)ip({"link", "add", "br1", "type", "bridge"});
    (void)ip({"link", "add", "cni0.100", "type", "veth", "peer", "name", "veth0badcafe"});
    (void)ip({"link", "set", "veth0badcafe", "master", "br1"});
    reason = "its other end is no port of that bridge";
  } else {
    (void)ip({"link", "add", "cni0.100", "type", "veth", "peer", "name", "x", "netns", "other"});
    reason = "its other end is in another network namespace";
  }
  (void)ip({"link", "set", "cni0", "up"});
  const Snapshot before = take({"c1"});
  const std::string message =
      "\"cni0.100\" already exists but is not the gateway of VLAN 100 of bridge \"cni0\"";
  const PluginRun refused = node.run("ADD", gateway(100));
  check_error(refused, 106, message);
  CHECK(refused.details().find(reason) != std::string::npos);
  check_error(node.run("STATUS", gateway(100)), 50, message);
  node.del(gateway(100));
  CHECK(diff(without_shared(before), without_shared(take({"c1"}))) == "");
  CHECK(exists("cni0.100"));
}

TEST_CASE("a gateway that an administrator made is used and left", "[netns]") {
  require_bridge_vlans();
  PluginNode node;
  node.spaces.container("c1");
  (void)ip({"link", "add", "cni0", "type", "bridge", "vlan_filtering", "1"});
  (void)ip({"link", "add", "cni0.100", "type", "veth", "peer", "name", "by-hand"});
  (void)ip({"link", "set", "by-hand", "master", "cni0"});
  const json result = node.add(gateway(100));
  node.check(gateway(100), result);
  CHECK(pings("c1", "10.22.0.1"));
  node.del(gateway(100), "c1", result);
  CHECK(exists("cni0.100"));
}

TEST_CASE("a gateway that a killed ADD left half made is completed or removed", "[netns]") {
  require_bridge_vlans();
  PluginNode node;
  node.spaces.container("c1");
  node.spaces.container("c2");
  (void)node.add(gateway(100));
  const std::string port = gateway_port("cni0.100");
  const auto half_made = [&] {
    (void)ip({"link", "add", "cni0.100", "type", "veth", "peer", "name", port});
  };
  node.del(gateway(100));
  half_made();
  (void)node.add(gateway(100));
  CHECK(vlans_of(port) == "100 PVID Egress Untagged");
  CHECK(pings("c1", "10.22.0.1"));
  node.del(gateway(100));
  CHECK_FALSE(exists("cni0.100"));
  half_made();
  node.del(gateway(100));
  CHECK_FALSE(exists("cni0.100"));
  CHECK_FALSE(exists(port));
}

TEST_CASE("the name of a gateway's port that somebody else has is passed over", "[netns]") {
  require_bridge_vlans();
  PluginNode node;
  node.spaces.container("c1");
  (void)node.add(gateway(100));
  const std::string taken = gateway_port("cni0.100");
  node.del(gateway(100));
  (void)ip({"link", "add", taken, "type", "veth", "peer", "name", "other"});
  (void)node.add(gateway(100));
  CHECK(gateway_port("cni0.100") != taken);
  node.del(gateway(100));
  CHECK_FALSE(exists("cni0.100"));
  CHECK(exists(taken));
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
    const json config = gateway(100, {{"vlanTrunk", {{{"minID", 200}, {"maxID", 300}}}}});
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
