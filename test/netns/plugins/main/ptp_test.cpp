#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"
#include "test/support/snapshot.hpp"

using namespace cni::test;

namespace {

json config_with(const json& more = json::object()) {
  json config = {{"type", "ptp"},
                 {"ipam",
                  {{"type", "host-local"},
                   {"ranges", json::array({json::array({{{"subnet", "10.23.0.0/16"}}}),
                                           json::array({{{"subnet", "fd00:23::/64"}}})})},
                   {"routes", json::array({{{"dst", "0.0.0.0/0"}}, {{"dst", "::/0"}}})}}}};
  config.update(more);
  return config;
}

std::string route_text(const std::string& netns, const std::string& family,
                       const std::string& destination) {
  return run_ok_in(netns, {"ip", family, "route", "show", destination});
}

}  // namespace

TEST_CASE("ptp connects a container at every version and leaves nothing after DEL", "[netns]") {
  const std::string version =
      GENERATE("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0");
  CAPTURE(version);
  PluginNode node;
  node.spaces.container("c1");
  json config = config_with({{"cniVersion", version}});
  if (version < "0.3.0") config["ipam"]["ranges"].erase(1);
  const Snapshot before = take({"c1"});
  const json result = node.add(config);
  CHECK(addresses_on("c1", "eth0").front() == "10.23.0.2/16");
  if (version >= "0.4.0") node.check(config, result);
  node.del(config, "c1", version >= "0.4.0" ? result : json());
  CHECK(diff(without_shared(before), without_shared(take({"c1"}))) == "");
  node.del(config);
}

TEST_CASE("ptp routes everything but the gateway through the gateway", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  const json result = node.add(config_with());
  const std::string host_veth = result.at("interfaces")[0].at("name");
  CHECK(result.at("ips")[0].at("interface") == 1);
  CHECK(route_text("c1", "-4", "10.23.0.1")
            .starts_with("10.23.0.1 dev eth0 scope link src 10.23.0.2"));
  CHECK(route_text("c1", "-4", "10.23.0.0/16")
            .starts_with("10.23.0.0/16 via 10.23.0.1 dev eth0 src 10.23.0.2"));
  CHECK(route_text("c1", "-6", "fd00:23::/64")
            .starts_with("fd00:23::/64 via fd00:23::1 dev eth0 src fd00:23::2"));
  CHECK(addresses_on("", host_veth) == std::vector<std::string>{"10.23.0.1/32", "fd00:23::1/128"});
  CHECK(ip({"-j", "-4", "route", "show", "10.23.0.2"})[0].at("dev") == host_veth);
  CHECK(ip({"-j", "-6", "route", "show", "fd00:23::2"})[0].at("dev") == host_veth);
  CHECK(sysctl("", "net/ipv4/ip_forward") == "1");
  CHECK(sysctl("", "net/ipv6/conf/all/forwarding") == "1");
}

TEST_CASE("ptp applies mtu to both ends", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  const json result = node.add(config_with({{"mtu", 1400}}));
  CHECK(find_link_json("c1", "eth0")->at("mtu") == 1400);
  CHECK(find_link_json("", result.at("interfaces")[0].at("name").get<std::string>())->at("mtu") ==
        1400);
}

TEST_CASE("ptp refuses an address without a gateway and leaves nothing", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  const json config = {
      {"type", "ptp"},
      {"ipam", {{"type", "static"}, {"addresses", json::array({{{"address", "10.23.0.9/24"}}})}}}};
  const Snapshot before = take({"c1"});
  check_error(node.run("ADD", config), 7, "address 10.23.0.9/24 has no gateway");
  CHECK(diff(before, take({"c1"})) == "");
}

TEST_CASE("ptp needs an ipam section", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  check_error(node.run("ADD", {{"type", "ptp"}}), 7, "no plugin name provided");
}

TEST_CASE("ptp CHECK names what is missing", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  const json config = config_with({{"ipMasq", true}, {"ipMasqBackend", "nftables"}});
  const json result = node.add(config);
  const std::string host_veth = result.at("interfaces")[0].at("name");
  node.check(config, result);
  (void)ip({"address", "del", "10.23.0.1/32", "dev", host_veth});
  check_error(node.run("CHECK", config, "c1", result), 105,
              "ptp: gateway address 10.23.0.1 is not on " + host_veth);
  (void)ip({"address", "add", "10.23.0.1/32", "dev", host_veth});
  node.check(config, result);
  (void)ip({"-n", "c1", "route", "del", "default"});
  check_error(node.run("CHECK", config, "c1", result), 105,
              "Expected Route 0.0.0.0/0 not found in routing table");
}

TEST_CASE("ptp GC removes exactly what is not valid", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  node.spaces.container("c2");
  const json config = config_with({{"ipMasq", true}, {"ipMasqBackend", "nftables"}});
  const json result = node.add(config, "c1");
  (void)node.add(config, "c2");
  json collecting = config;
  collecting["cni.dev/valid-attachments"] =
      json::array({{{"containerID", "c1"}, {"ifname", "eth0"}}});
  REQUIRE(node.run("GC", collecting).ok());
  node.check(config, result, "c1");
  CHECK_FALSE(find_link_json("c2", "eth0"));
}
