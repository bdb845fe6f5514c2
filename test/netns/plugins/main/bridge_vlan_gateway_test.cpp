// The gateway interface of a VLAN of bridge: how it comes, whom it serves and when it goes.
#include "pkg/os/file.hpp"
#include "test/netns/plugins/main/bridge_vlan_config.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"

using namespace cni::test;

namespace {

bool exists(const std::string& link) { return find_link_json("", link).has_value(); }

}  // namespace

TEST_CASE("the gateway of a VLAN is an interface of its own", "[netns]") {
  require_bridge_vlans();
  PluginNode node;
  for (const char* name : {"c1", "c2"}) node.spaces.container(name);
  const json config = gateway_of(100, {{"mtu", 1400}});
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
  CHECK(vlans_shown(port) == "100 PVID Egress Untagged");
  for (const std::string& end : {std::string("cni0.100"), port}) {
    CHECK(sysctl("", "net/ipv6/conf/" + end + "/accept_ra") == "0");
  }
  // 3: set from user space, so that nothing on the host replaces it.
  CHECK(cni::os::read_file("/sys/class/net/cni0.100/addr_assign_type") == "3\n");

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
  const json without_gateway = bridge_with({{"vlan", 100}});
  const json trunk = bridge_with({{"vlanTrunk", {{{"minID", 90}, {"maxID", 110}}}}});
  (void)node.add(gateway_of(100), "c1");
  (void)node.add(without_gateway, "c2");
  (void)node.add(trunk, "c3");
  const std::string port = gateway_port("cni0.100");

  SECTION("which is one with a gateway") {
    node.del(without_gateway, "c2");
    node.del(trunk, "c3");
    CHECK(exists("cni0.100"));
    node.del(gateway_of(100), "c1");
  }
  SECTION("which is one without") {
    node.del(trunk, "c3");
    node.del(gateway_of(100), "c1");
    CHECK(exists("cni0.100"));
    node.del(without_gateway, "c2");
  }
  SECTION("which is a trunk") {
    node.del(gateway_of(100), "c1");
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
    node.del(bridge_with(), "c1", result);
  }
  SECTION("that GC removes") {
    node.del(without_gateway, "c2");
    node.del(trunk, "c3");
    const json none = {{"cni.dev/valid-attachments", json::array()}};
    CHECK(node.run("GC", gateway_of(100, none)).ok());
  }
  CHECK_FALSE(exists("cni0.100"));
  CHECK_FALSE(exists(port));
  CHECK(exists("cni0"));
}

TEST_CASE("a trunk takes only those gateways along that nobody else needs", "[netns]") {
  require_bridge_vlans();
  PluginNode node;
  for (const char* name : {"c1", "c2", "c3"}) node.spaces.container(name);
  const json trunk = bridge_with({{"vlanTrunk", {{{"minID", 2}, {"maxID", 4094}}}}});
  (void)node.add(gateway_of(100), "c1");
  (void)node.add(gateway_of(200, {{"ipam", {{"type", "host-local"}, {"subnet", "10.23.0.0/16"}}}}),
                 "c2");
  (void)node.add(trunk, "c3");
  node.del(gateway_of(100), "c1");
  CHECK(exists("cni0.100"));
  node.del(trunk, "c3");
  CHECK_FALSE(exists("cni0.100"));
  CHECK(exists("cni0.200"));
}

TEST_CASE("a failed ADD leaves the gateway of another container", "[netns]") {
  require_bridge_vlans();
  PluginNode node;
  for (const char* name : {"c1", "c2"}) node.spaces.container(name);
  (void)node.add(gateway_of(100), "c2");
  json failing = gateway_of(100);
  failing["ipam"] = {{"type", "static"},
                     {"addresses", json::array({{{"address", "10.99.0.5/16"}}})}};
  check_error(node.run("ADD", failing), 106,
              "failed to set bridge addr: \"cni0.100\" already has an IP address different from");
  CHECK(addresses_on("", "cni0.100") == std::vector<std::string>{"10.22.0.1/16"});
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
  (void)ip({"link", "add", "cni0", "address", "02:00:00:00:00:01", "type", "bridge",
            "vlan_filtering", "1"});
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
  // Sizes of the segments that a bridge's device offloads follow the bridge's ports.
  const auto links = [] {
    const json in_the_way = find_link_json("", "cni0.100").value();
    return json{in_the_way.at("linkinfo"), in_the_way.at("address"), in_the_way.at("ifindex"),
                ip({"-j", "link", "show"}).size(), find_link_json("c1", "eth0").has_value()};
  };
  const json before = links();
  const std::string message =
      "\"cni0.100\" already exists but is not the gateway of VLAN 100 of bridge \"cni0\"";
  const PluginRun refused = node.run("ADD", gateway_of(100));
  check_error(refused, 106, message);
  CHECK(refused.details().find(reason) != std::string::npos);
  check_error(node.run("STATUS", gateway_of(100)), 50, message);
  node.del(gateway_of(100));
  CHECK(links() == before);
}

TEST_CASE("a gateway that an administrator made is used and left", "[netns]") {
  require_bridge_vlans();
  PluginNode node;
  node.spaces.container("c1");
  (void)ip({"link", "add", "cni0", "type", "bridge", "vlan_filtering", "1"});
  (void)ip({"link", "add", "cni0.100", "type", "veth", "peer", "name", "by-hand"});
  (void)ip({"link", "set", "by-hand", "master", "cni0"});
  const json result = node.add(gateway_of(100));
  node.check(gateway_of(100), result);
  CHECK(pings("c1", "10.22.0.1"));
  node.del(gateway_of(100), "c1", result);
  CHECK(exists("cni0.100"));
}

TEST_CASE("a bridge that takes the address of its ports keeps the one that was reported",
          "[netns]") {
  require_bridge_vlans();
  PluginNode node;
  for (const char* name : {"c1", "c2"}) node.spaces.container(name);
  (void)ip({"link", "add", "cni0", "type", "bridge", "vlan_filtering", "1"});
  const json result = node.add(gateway_of(100), "c1");
  const json address = find_link_json("", "cni0")->at("address");
  CHECK(result.at("interfaces")[0].at("mac") == address);
  (void)node.add(gateway_of(100), "c2");
  CHECK(find_link_json("", "cni0")->at("address") == address);
  node.check(gateway_of(100), result);
}

TEST_CASE("a gateway that a killed ADD left half made is completed or removed", "[netns]") {
  require_bridge_vlans();
  PluginNode node;
  node.spaces.container("c1");
  node.spaces.container("c2");
  (void)node.add(gateway_of(100));
  const std::string port = gateway_port("cni0.100");
  const auto half_made = [&] {
    (void)ip({"link", "add", "cni0.100", "type", "veth", "peer", "name", port});
  };
  node.del(gateway_of(100));
  half_made();
  (void)node.add(gateway_of(100));
  CHECK(vlans_shown(port) == "100 PVID Egress Untagged");
  CHECK(pings("c1", "10.22.0.1"));
  node.del(gateway_of(100));
  CHECK_FALSE(exists("cni0.100"));
  half_made();
  node.del(gateway_of(100));
  CHECK_FALSE(exists("cni0.100"));
  CHECK_FALSE(exists(port));
}

TEST_CASE("the name of a gateway's port that somebody else has is passed over", "[netns]") {
  require_bridge_vlans();
  PluginNode node;
  node.spaces.container("c1");
  (void)node.add(gateway_of(100));
  const std::string taken = gateway_port("cni0.100");
  node.del(gateway_of(100));
  (void)ip({"link", "add", taken, "type", "veth", "peer", "name", "other"});
  (void)node.add(gateway_of(100));
  CHECK(gateway_port("cni0.100") != taken);
  node.del(gateway_of(100));
  CHECK_FALSE(exists("cni0.100"));
  CHECK(exists(taken));
}
