#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"
#include "test/support/snapshot.hpp"

using namespace cni::test;

namespace {

class DummyNode : public PluginNode {
 public:
  DummyNode() {
    require_kind("dummy");
    spaces.container("c1");
    // What a namespace sends to its own addresses goes over lo.
    (void)ip({"-n", "c1", "link", "set", "lo", "up"});
  }
};

json static_address(const std::string& address) {
  return {{"type", "static"}, {"addresses", json::array({{{"address", address}}})}};
}

json dummy(const json& more = json::object()) {
  json config = {{"type", "dummy"}, {"ipam", {{"type", "host-local"}, {"subnet", "10.24.0.0/16"}}}};
  config.update(more);
  return config;
}

}  // namespace

TEST_CASE("dummy gives a container an address at every version and leaves nothing after DEL",
          "[netns][kind:dummy]") {
  const std::string version =
      GENERATE("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0");
  DummyNode node;
  check_add_and_del(node, dummy({{"cniVersion", version}}), "10.24.0.2/16");
}

TEST_CASE("dummy describes the interface that it made", "[netns][kind:dummy]") {
  DummyNode node;
  const json result = node.add(dummy());
  const json link = find_link_json("c1", "eth0").value();
  CHECK(link.at("linkinfo").at("info_kind") == "dummy");
  CHECK(link.at("flags").dump().find("\"UP\"") != std::string::npos);
  REQUIRE(result.at("interfaces").size() == 1);
  CHECK(result.at("interfaces")[0].at("name") == "eth0");
  CHECK(result.at("interfaces")[0].at("mac") == link.at("address"));
  CHECK(result.at("interfaces")[0].at("sandbox") == "/run/netns/c1");
  CHECK(result.at("ips")[0].at("interface") == 0);
}

TEST_CASE("dummy does not wait for its IPv6 address", "[netns][kind:dummy]") {
  DummyNode node;
  (void)node.add(dummy({{"ipam", static_address("fd00:24::5/64")}}));
  const json addresses =
      ip({"-n", "c1", "-j", "-6", "address", "show", "dev", "eth0", "scope", "global"});
  REQUIRE(addresses.size() == 1);
  CHECK_FALSE(addresses[0].at("addr_info")[0].contains("tentative"));
  CHECK(pings("c1", "fd00:24::5"));
}

TEST_CASE("dummy requires an IPAM configuration but not to delete", "[netns][kind:dummy]") {
  DummyNode node;
  const json result = node.add(dummy());
  for (const json& config :
       {json({{"type", "dummy"}}), json({{"type", "dummy"}, {"ipam", json::object()}}),
        json({{"type", "dummy"}, {"ipam", {{"type", ""}}}})}) {
    check_error(node.run("ADD", config), 7, "dummy interface requires an IPAM configuration");
    check_error(node.run("CHECK", config, "c1", result), 7,
                "dummy interface requires an IPAM configuration");
    check_error(node.run("STATUS", config), 7, "no plugin name provided");
    node.del(config);
    CHECK_FALSE(find_link_json("c1", "eth0"));
  }
  CHECK(node.run("STATUS", dummy()).ok());
}

TEST_CASE("dummy works with a host that has an interface of that name", "[netns][kind:dummy]") {
  DummyNode node;
  (void)ip({"link", "add", "eth0", "type", "dummy"});
  const json config = dummy();
  const json result = node.add(config);
  node.check(config, result);
  node.del(config);
  CHECK(find_link_json("", "eth0"));
  CHECK_FALSE(find_link_json("c1", "eth0"));
}

TEST_CASE("dummy leaves an interface of that name in the container alone", "[netns][kind:dummy]") {
  DummyNode node;
  (void)node.add(dummy());
  const Snapshot before = take({"c1"});
  const PluginRun run = node.run("ADD", dummy());
  INFO(run.describe());
  CHECK(run.code() == 102);
  CHECK(run.msg() == "failed to create dummy: add dummy eth0: file exists");
  CHECK(run.details().find("the container has an interface of that name") != std::string::npos);
  CHECK(diff(before, take({"c1"})) == "");
}

TEST_CASE("dummy works with a name that has a dot", "[netns][kind:dummy]") {
  DummyNode node;
  Call dotted;
  dotted.ifname = "eth0.100";
  const json config = dummy({{"ipam", static_address("fd00:24::5/64")}});
  (void)node.add(config, "c1", dotted);
  CHECK(sysctl("c1", "net/ipv6/conf/eth0.100/keep_addr_on_down") == "1");
  CHECK(node.run("DEL", config, "c1", nullptr, dotted).ok());
  CHECK_FALSE(find_link_json("c1", "eth0.100"));
}

TEST_CASE("dummy keeps the DNS settings of its ipam plugin unless it has its own",
          "[netns][kind:dummy]") {
  DummyNode node;
  check_ipam_dns(node, dummy());
}

TEST_CASE("dummy forwards GC to its ipam plugin", "[netns][kind:dummy]") {
  DummyNode node;
  check_gc_reaches_ipam(node, dummy());
}

TEST_CASE("dummy CHECK names what is different", "[netns][kind:dummy]") {
  DummyNode node;
  json config = dummy();
  config["ipam"]["routes"] = json::array({{{"dst", "198.51.100.0/24"}}});
  const json result = node.add(config);
  node.check(config, result);
  const auto check = [&](const std::string& msg) {
    check_error(node.run("CHECK", config, "c1", result), 105, msg);
  };
  (void)ip({"-n", "c1", "route", "del", "198.51.100.0/24"});
  check("Expected Route 198.51.100.0/24 not found");
  (void)ip({"-n", "c1", "address", "flush", "dev", "eth0"});
  check("Failed to match addr 10.24.0.2/16 on interface eth0");
  (void)ip({"-n", "c1", "link", "set", "eth0", "down"});
  check("Interface eth0 is down");
  (void)ip({"-n", "c1", "link", "set", "eth0", "address", "02:00:00:00:00:09"});
  check("Interface eth0 Mac 02:00:00:00:00:09 doesn't match");
  check_error(node.run("CHECK", config), 7, "dummy: Required prevResult missing");
  (void)ip({"-n", "c1", "link", "del", "eth0"});
  check("Container Interface name in prevResult: eth0 not found");
  (void)ip({"-n", "c1", "link", "add", "eth0", "type", "bridge"});
  check("Error: Container interface eth0 not of type dummy");
}

TEST_CASE("dummy holds an address that a host with a route reaches", "[netns][kind:dummy]") {
  DummyNode node;
  const json uplink = {{"type", "ptp"},
                       {"ipam", {{"type", "host-local"}, {"subnet", "10.25.0.0/16"}}}};
  (void)node.add(uplink);
  Call second;
  second.ifname = "service0";
  (void)node.add(dummy({{"ipam", static_address("198.51.100.7/32")}}), "c1", second);
  CHECK(pings("c1", "198.51.100.7"));
  CHECK_FALSE(pings("", "198.51.100.7"));
  (void)ip({"route", "add", "198.51.100.7", "via", "10.25.0.2"});
  CHECK(pings("", "198.51.100.7"));
  CHECK(tcp_client_seen(node.spaces.host(), cni::ns::Netns::open("/run/netns/c1"),
                        "198.51.100.7") == "10.25.0.1");
}
