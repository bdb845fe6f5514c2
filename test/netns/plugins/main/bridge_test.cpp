// What bridge makes and removes, as the system's own programs see it.
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"
#include "test/support/snapshot.hpp"

using namespace cni::test;

namespace {

json dual_stack_ipam() {
  return {{"type", "host-local"},
          {"ranges", json::array({json::array({{{"subnet", "10.22.0.0/16"}}}),
                                  json::array({{{"subnet", "fd00:22::/64"}}})})}};
}

json layer3(const json& more = json::object()) {
  json config = {{"type", "bridge"}, {"bridge", "cni0"}, {"ipam", dual_stack_ipam()}};
  config.update(more);
  return config;
}

// The bridge port of a container, as `ip` sees it.
json port_of(const json& result) {
  const auto port = find_link_json("", result.at("interfaces")[1].at("name").get<std::string>());
  REQUIRE(port);
  return *port;
}

// The operational state follows the flags a little later.
bool has_flag(const std::string& netns, const std::string& link, const std::string& flag) {
  const json flags = find_link_json(netns, link).value().at("flags");
  return std::find(flags.begin(), flags.end(), flag) != flags.end();
}

}  // namespace

TEST_CASE("bridge connects a container at every version and leaves nothing after DEL", "[netns]") {
  const std::string version =
      GENERATE("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0");
  CAPTURE(version);
  PluginNode node;
  node.spaces.container("c1");
  json config = layer3({{"cniVersion", version}, {"isDefaultGateway", true}});
  if (version < "0.3.0") config["ipam"]["ranges"].erase(1);
  const Snapshot before = take({"c1"});

  const json result = node.add(config);
  CHECK(addresses_on("c1", "eth0").front() == "10.22.0.2/16");
  if (version >= "0.4.0") node.check(config, result);
  node.del(config, "c1", version >= "0.4.0" ? result : json());
  CHECK(diff(without_shared(before), without_shared(take({"c1"}))) == "");
  node.del(config);
}

TEST_CASE("bridge reports what the kernel has", "[netns]") {
  PluginNode node;
  const std::string path = node.spaces.container("c1");
  const json result = node.add(layer3({{"isGateway", true}}));
  const json& interfaces = result.at("interfaces");
  REQUIRE(interfaces.size() == 3);
  const std::string host_veth = interfaces[1].at("name");
  CHECK(interfaces[0].at("name") == "cni0");
  CHECK(host_veth.size() == 12);
  CHECK(host_veth.starts_with("veth"));
  CHECK(interfaces[2].at("name") == "eth0");
  CHECK(interfaces[2].at("sandbox") == path);
  CHECK(interfaces[0].at("mac") == find_link_json("", "cni0")->at("address"));
  CHECK(interfaces[1].at("mac") == find_link_json("", host_veth)->at("address"));
  CHECK(interfaces[2].at("mac") == find_link_json("c1", "eth0")->at("address"));
  CHECK(result.at("ips")[0].at("interface") == 2);
  CHECK(result.at("ips")[0].at("gateway") == "10.22.0.1");
  CHECK(port_of(result).at("master") == "cni0");
  CHECK(port_of(result).at("operstate") == "UP");
}

TEST_CASE("bridge sets each option of the port", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  const auto slave_data = [&](const json& config) {
    const json result = node.add(config);
    const json data = port_of(result).at("linkinfo").at("info_slave_data");
    node.check(config, result);
    node.del(config);
    return data;
  };
  const json plain = slave_data(layer3());
  CHECK(plain.at("hairpin") == false);
  CHECK(plain.at("isolated") == false);
  CHECK(slave_data(layer3({{"hairpinMode", true}})).at("hairpin") == true);
  CHECK(slave_data(layer3({{"portIsolation", true}})).at("isolated") == true);
}

TEST_CASE("bridge applies mtu and promiscMode to a new bridge", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  const json config = layer3({{"mtu", 1400}, {"promiscMode", true}});
  const json result = node.add(config);
  CHECK(find_link_json("", "cni0")->at("mtu") == 1400);
  CHECK(find_link_json("", "cni0")->at("promiscuity") == 1);
  CHECK(port_of(result).at("mtu") == 1400);
  CHECK(find_link_json("c1", "eth0")->at("mtu") == 1400);
  node.check(config, result);
  (void)ip({"link", "set", "cni0", "promisc", "off"});
  check_error(node.run("CHECK", config, "c1", result), 105, "Bridge cni0 is not promiscuous");
}

TEST_CASE("bridge takes the MAC address of the highest precedence", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  Call rest;
  rest.args = "IgnoreUnknown=1;MAC=02:00:00:00:00:01";
  json config = layer3();
  const auto mac = [&] {
    (void)node.add(config, "c1", rest);
    const json address = find_link_json("c1", "eth0")->at("address");
    node.del(config);
    return address;
  };
  CHECK(mac() == "02:00:00:00:00:01");
  config["args"]["cni"]["mac"] = "02:00:00:00:00:02";
  CHECK(mac() == "02:00:00:00:00:02");
  config["runtimeConfig"]["mac"] = "02:00:00:00:00:03";
  CHECK(mac() == "02:00:00:00:00:03");
}

TEST_CASE("a second ADD of the same interface fails and leaves the first one its address",
          "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  const json result = node.add(layer3());
  check_error(node.run("ADD", layer3()), 106, "container veth name (\"eth0\")");
  node.check(layer3(), result);  // host-local's CHECK looks for the reservation
}

TEST_CASE("bridge does not look at prevResult in ADD", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  const json older = {{"cniVersion", "0.2.0"}, {"ip4", {{"ip", "192.0.2.1/24"}}}};
  const PluginRun run = node.run("ADD", layer3(), "c1", older);
  INFO(run.describe());
  REQUIRE(run.ok());
  CHECK(run.document.at("ips")[0].at("address") == "10.22.0.2/16");
}

TEST_CASE("bridge without ipam only connects", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  const json config = {{"type", "bridge"}, {"bridge", "cni0"}};
  const json result = node.add(config);
  CHECK_FALSE(result.contains("ips"));
  CHECK(addresses_on("c1", "eth0").empty());
  CHECK(has_flag("c1", "eth0", "LOWER_UP"));
  node.check(config, result);
  node.del(config);
  CHECK_FALSE(find_link_json("c1", "eth0"));
}

TEST_CASE("bridge leaves the container's end down if asked to", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  (void)node.add({{"type", "bridge"}, {"disableContainerInterface", true}});
  CHECK_FALSE(has_flag("c1", "eth0", "UP"));
}

TEST_CASE("bridge keeps its MAC address whatever ports come and go", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  node.spaces.container("c2");
  const json config = layer3();
  (void)node.add(config, "c1");
  const json mac = find_link_json("", "cni0")->at("address");
  for (int i = 0; i < 5; ++i) {
    (void)node.add(config, "c2");
    CHECK(find_link_json("", "cni0")->at("address") == mac);
    node.del(config, "c2");
  }
  node.del(config, "c1");
  CHECK(find_link_json("", "cni0")->at("address") == mac);
}

TEST_CASE("bridge uses an existing bridge as it is", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  (void)ip({"link", "add", "cni0", "mtu", "1300", "type", "bridge"});
  const json result = node.add(layer3({{"isGateway", true}, {"mtu", 1400}}));
  CHECK(has_flag("", "cni0", "UP"));
  CHECK(result.at("interfaces")[0].at("mac") == find_link_json("", "cni0")->at("address"));
  CHECK(sysctl("", "net/ipv6/conf/cni0/accept_ra") == "0");
}

TEST_CASE("bridge refuses a link of that name that is no bridge", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  (void)ip({"link", "add", "cni0", "type", "veth", "peer", "name", "other"});
  const Snapshot before = take({"c1"});
  check_error(node.run("ADD", layer3()), 106, "\"cni0\" already exists but is not a bridge");
  check_error(node.run("STATUS", layer3()), 50, "\"cni0\" already exists but is not a bridge");
  CHECK(diff(before, take({"c1"})) == "");
}

TEST_CASE("bridge refuses an interface name that the container has and keeps that interface",
          "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  const json config = layer3();
  const json result = node.add(config);
  const Snapshot before = take({"c1"});
  check_error(node.run("ADD", config), 106, "container veth name (\"eth0\") peer provided (\"veth");
  // The running container keeps its address too.
  CHECK(diff(before, take({"c1"})) == "");
  node.check(config, result);
}

TEST_CASE("bridge connects a container by several interfaces", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  Call second;
  second.ifname = "net1";
  const json config = layer3({{"ipMasq", true}, {"ipMasqBackend", "nftables"}});
  (void)node.add(config);
  (void)node.add(config, "c1", second);
  CHECK(addresses_on("c1", "eth0").front() == "10.22.0.2/16");
  CHECK(addresses_on("c1", "net1").front() == "10.22.0.3/16");
  node.del(config);
  CHECK_FALSE(find_link_json("c1", "eth0"));
  CHECK(addresses_on("c1", "net1").front() == "10.22.0.3/16");
}

TEST_CASE("bridge DEL removes the pair also when the namespace is not said", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  const json config = layer3();
  const json result = node.add(config);
  json whole = config;
  whole["cniVersion"] = "1.1.0";
  whole["name"] = "testnet";
  Call call;
  call.command = "DEL";
  call.container_id = "c1";
  call.input = whole.dump();
  const PluginRun run = call_in_process(plugin_named("bridge"), call);
  INFO(run.describe());
  CHECK(run.ok());
  CHECK_FALSE(find_link_json("c1", "eth0"));
  CHECK_FALSE(find_link_json("", result.at("interfaces")[1].at("name").get<std::string>()));
}

TEST_CASE("bridge GC removes exactly what is not valid", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  node.spaces.container("c2");
  const json config =
      layer3({{"ipMasq", true}, {"ipMasqBackend", "nftables"}, {"macspoofchk", true}});
  const json result = node.add(config, "c1");
  (void)node.add(config, "c2");
  json collecting = config;
  collecting["cni.dev/valid-attachments"] =
      json::array({{{"containerID", "c1"}, {"ifname", "eth0"}}});
  REQUIRE(node.run("GC", collecting).ok());
  node.check(config, result, "c1");
  CHECK_FALSE(find_link_json("c2", "eth0"));
  const std::string rules = run_ok({"nft", "list", "ruleset"});
  CHECK(rules.find("id: c1") != std::string::npos);
  CHECK(rules.find("id: c2") == std::string::npos);
  CHECK(rules.find("macspoofchk-c2-eth0") == std::string::npos);
}
