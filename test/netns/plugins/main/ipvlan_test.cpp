#include "test/netns/plugins/main/master_node.hpp"

using namespace cni::test;

namespace {

class IpvlanNode : public MasterNode {
 public:
  IpvlanNode() : MasterNode("ipvlan") {}
};

json host_local(const std::string& subnet) { return {{"type", "host-local"}, {"subnet", subnet}}; }

json ipvlan(const json& more = json::object()) {
  json config = {{"type", "ipvlan"}, {"master", "master0"}, {"ipam", host_local("10.24.0.0/16")}};
  config.update(more);
  return config;
}

json prev_result(const json& interfaces) {
  return {
      {"interfaces", interfaces},
      {"ips", json::array({{{"address", "10.25.0.5/24"}, {"gateway", "10.25.0.1"}}})},
      {"routes", json::array({{{"dst", "198.51.100.0/24"}, {"gw", "10.25.0.9"}, {"mtu", 1300}}})},
      {"dns", {{"nameservers", {"10.25.0.1"}}}}};
}

std::string mode_in(const std::string& container) {
  const json link = find_link_json(container, "eth0").value();
  return link.at("linkinfo").at("info_data").at("mode");
}

}  // namespace

TEST_CASE("ipvlan connects a container at every version and leaves nothing after DEL",
          "[netns][kind:ipvlan]") {
  const std::string version =
      GENERATE("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0");
  IpvlanNode node;
  check_add_and_del(node, ipvlan({{"cniVersion", version}}), "10.24.0.2/16");
}

TEST_CASE("ipvlan sets each of its options", "[netns][kind:ipvlan]") {
  IpvlanNode node;
  const auto made = [&](const json& more) {
    const json config = ipvlan(more);
    const json result = node.add(config);
    json link = find_link_json("c1", "eth0").value();
    CHECK(result.at("interfaces").size() == 1);
    CHECK(result.at("interfaces")[0].at("mac") == link.at("address"));
    CHECK(result.at("ips")[0].at("interface") == 0);
    node.check(config, result);
    node.del(config);
    return link;
  };
  const auto data = [&](const json& more) { return made(more).at("linkinfo").at("info_data"); };
  CHECK(data(json::object()).at("mode") == "l2");
  for (const std::string mode : {"l2", "l3", "l3s"})
    CHECK(data({{"mode", mode}}).at("mode") == mode);
  CHECK(made({{"mtu", 1400}}).at("mtu") == 1400);
  CHECK(made(json::object()).at("mtu") == 1500);
  CHECK(made(json::object()).at("address") == find_link_json("", "master0")->at("address"));
}

TEST_CASE("ipvlan takes the link of the default route without a master", "[netns][kind:ipvlan]") {
  IpvlanNode node;
  json config = ipvlan();
  config.erase("master");
  check_error(node.run("ADD", config), 7, "no default route interface found");
  check_error(node.run("STATUS", config), 50, "no default route interface found");
  (void)ip({"address", "add", "192.0.2.1/24", "dev", "master0"});
  (void)ip({"route", "add", "default", "via", "192.0.2.254"});
  CHECK(node.run("STATUS", config).ok());
  const json result = node.add(config);
  node.check(config, result);
  json elsewhere = config;
  elsewhere["linkInContainer"] = true;
  check_error(node.run("CHECK", elsewhere, "c1", result), 105,
              "master of eth0 is not in the container");
  // Nothing of it is needed to delete.
  (void)ip({"route", "del", "default"});
  node.del(config);
  CHECK_FALSE(find_link_json("c1", "eth0"));
}

TEST_CASE("ipvlan finds its master in the container if asked to", "[netns][kind:ipvlan]") {
  IpvlanNode node;
  check_master_in_container(node, ipvlan());
}

TEST_CASE("ipvlan refuses an MTU above its master's", "[netns][kind:ipvlan]") {
  IpvlanNode node;
  check_mtu_of_master(node, ipvlan());
}

TEST_CASE("ipvlan takes addresses and routes of the chain before it", "[netns][kind:ipvlan]") {
  IpvlanNode node;
  const json before = prev_result(json::array({{{"name", "master0"}}}));
  const json config = {{"type", "ipvlan"}, {"prevResult", before}};
  const json result = node.add(config);
  REQUIRE(result.at("interfaces").size() == 1);
  CHECK(result.at("interfaces")[0].at("name") == "eth0");
  REQUIRE(result.at("ips").size() == 1);
  CHECK(result.at("ips")[0].at("interface") == 0);
  CHECK(result.at("ips")[0].at("gateway") == "10.25.0.1");
  CHECK(result.at("routes") == before.at("routes"));
  CHECK(result.at("dns") == before.at("dns"));
  CHECK(addresses_on("c1", "eth0") == std::vector<std::string>{"10.25.0.5/24"});
  const json routes = ip({"-n", "c1", "-j", "route", "show", "198.51.100.0/24"});
  REQUIRE(routes.size() == 1);
  CHECK(routes[0].at("gateway") == "10.25.0.9");
  CHECK(routes[0].at("metrics")[0].at("mtu") == 1300);
  const json alone = {{"type", "ipvlan"}};
  node.check(alone, result);
  CHECK(node.run("STATUS", alone).ok());
  node.del(alone);
  CHECK_FALSE(find_link_json("c1", "eth0"));
}

TEST_CASE("ipvlan with an ipam section of its own takes only the link from the chain",
          "[netns][kind:ipvlan]") {
  IpvlanNode node;
  json config = ipvlan({{"prevResult", prev_result(json::array({{{"name", "master0"}}}))}});
  config.erase("master");
  const json result = node.add(config);
  CHECK(addresses_on("c1", "eth0") == std::vector<std::string>{"10.24.0.2/16"});
  CHECK_FALSE(result.contains("routes"));
}

TEST_CASE("ipvlan says what is missing in a chain", "[netns][kind:ipvlan]") {
  IpvlanNode node;
  const json two = json::array({{{"name", "master0"}}, {{"name", "other"}}});
  const json nameless = json::array({{{"name", ""}}});
  for (const json& interfaces : {two, nameless, json::array()}) {
    const json config = {{"type", "ipvlan"}, {"prevResult", prev_result(interfaces)}};
    check_error(node.run("ADD", config), 7,
                "chained master failure. PrevResult lacks a single named interface");
  }
  json without_addresses = prev_result(json::array({{{"name", "master0"}}}));
  without_addresses.erase("ips");
  check_error(node.run("ADD", {{"type", "ipvlan"}, {"prevResult", without_addresses}}), 7,
              "no plugin name provided");
  check_error(node.run("ADD", {{"type", "ipvlan"}, {"master", "master0"}}), 7,
              "no plugin name provided");
  CHECK_FALSE(find_link_json("c1", "eth0"));
}

TEST_CASE("ipvlan says which bridge or macvlan holds a busy master", "[netns][kind:ipvlan]") {
  IpvlanNode node;
  const auto details = [&](int code) {
    const PluginRun run = node.run("ADD", ipvlan());
    INFO(run.describe());
    CHECK(run.code() == code);
    CHECK(run.msg().find("failed to create ipvlan: ") == 0);
    CHECK(run.msg().find("device or resource busy") != std::string::npos);
    CHECK_FALSE(find_link_json("c1", "eth0"));
    return run.details();
  };
  const auto contains = [](const std::string& text, const std::string& part) {
    INFO(text);
    CHECK(text.find(part) != std::string::npos);
  };
  (void)ip({"link", "add", "holder0", "type", "bridge"});
  (void)ip({"link", "set", "master0", "master", "holder0"});
  contains(details(102), "master0 is a port of bridge holder0");
  (void)ip({"link", "set", "master0", "nomaster"});
  (void)ip({"link", "add", "link", "master0", "name", "mv0", "type", "macvlan"});
  contains(details(102), "master0 is used by macvlan mv0 on the host");
  (void)ip({"link", "set", "mv0", "netns", "c2"});
  contains(details(102), "master0 is used by macvlan mv0 in /run/netns/c2");
  // The same index as the master's, but of the other namespace.
  (void)ip({"-n", "c2", "link", "set", "mv0", "netns", "c1"});
  contains(details(102), "master0 is used by macvlan mv0 in this container");
  (void)ip({"-n", "c1", "link", "del", "mv0"});
  (void)node.add(ipvlan());
}

TEST_CASE("macvlan says which ipvlan of another container holds a busy master",
          "[netns][kind:ipvlan]") {
  IpvlanNode node;
  require_kind("macvlan");
  (void)node.add(ipvlan(), "c2");
  const PluginRun run = node.run("ADD", {{"type", "macvlan"}, {"master", "master0"}});
  INFO(run.describe());
  CHECK(run.code() == 102);
  CHECK(run.details().find("master0 is used by ipvlan eth0 in /run/netns/c2") != std::string::npos);
}

TEST_CASE("ipvlan does not change the mode of the others on its master", "[netns][kind:ipvlan]") {
  IpvlanNode node;
  const json first = node.add(ipvlan());
  const json routed = ipvlan({{"mode", "l3"}});
  check_error(node.run("ADD", routed, "c2"), 106,
              "master0 has ipvlans of mode l2 already: ipvlan eth0 in /run/netns/c1 would change "
              "to mode l3 too");
  check_error(node.run("STATUS", routed), 50, "master0 has ipvlans of mode l2 already");
  CHECK(mode_in("c1") == "l2");
  CHECK_FALSE(find_link_json("c2", "eth0"));
  node.check(ipvlan(), first);
  (void)node.add(ipvlan(), "c2");
  node.del(ipvlan(), "c1");
  node.del(ipvlan(), "c2");
  (void)node.add(routed, "c2");
  CHECK(mode_in("c2") == "l3");
  // Somebody else does it nevertheless.
  (void)ip({"link", "add", "link", "master0", "name", "by-hand", "type", "ipvlan", "mode", "l3s"});
  CHECK(mode_in("c2") == "l3s");
  const json found = {
      {"interfaces", json::array({{{"name", "eth0"}, {"sandbox", "/run/netns/c2"}}})},
      {"ips", json::array({{{"address", "10.24.0.4/16"}, {"interface", 0}}})}};
  check_error(node.run("CHECK", routed, "c2", found), 105,
              "container ipvlan mode l3s does not match expected value: l3");
}

TEST_CASE("ipvlan on another ipvlan stands beside it", "[netns][kind:ipvlan]") {
  IpvlanNode node;
  (void)ip({"link", "add", "link", "master0", "name", "ip0", "type", "ipvlan", "mode", "l2"});
  const json config = ipvlan({{"master", "ip0"}});
  const json result = node.add(config);
  node.check(config, result);
  check_error(node.run("ADD", ipvlan({{"master", "ip0"}, {"mode", "l3"}}), "c2"), 106,
              "ip0 has ipvlans of mode l2 already: ipvlan ip0 would change to mode l3 too");
}

TEST_CASE("ipvlan works with a host that has an interface of that name", "[netns][kind:ipvlan]") {
  IpvlanNode node;
  check_same_name_on_host(node, ipvlan());
}

TEST_CASE("ipvlan works with names that have dots", "[netns][kind:ipvlan]") {
  IpvlanNode node;
  (void)ip({"link", "set", "master0", "down"});
  (void)ip({"link", "set", "master0", "name", "master.100"});
  (void)ip({"link", "set", "master.100", "up"});
  Call dotted;
  dotted.ifname = "eth0.100";
  json config = ipvlan({{"master", "master.100"}});
  config["ipam"] = host_local("fd00:24::/64");
  (void)node.add(config, "c1", dotted);
  CHECK(sysctl("c1", "net/ipv6/conf/eth0.100/keep_addr_on_down") == "1");
  CHECK(node.run("DEL", config, "c1", nullptr, dotted).ok());
  CHECK_FALSE(find_link_json("c1", "eth0.100"));
}

TEST_CASE("ipvlan keeps the DNS settings of its ipam plugin unless it has its own",
          "[netns][kind:ipvlan]") {
  IpvlanNode node;
  check_ipam_dns(node, ipvlan());
}

TEST_CASE("ipvlan forwards GC to its ipam plugin", "[netns][kind:ipvlan]") {
  IpvlanNode node;
  check_gc_reaches_ipam(node, ipvlan());
}

TEST_CASE("ipvlan CHECK names what is different", "[netns][kind:ipvlan]") {
  IpvlanNode node;
  (void)ip({"link", "add", "master2", "type", "veth", "peer", "name", "far2"});
  json config = ipvlan();
  config["ipam"]["routes"] = json::array({{{"dst", "198.51.100.0/24"}}});
  const json result = node.add(config);
  node.check(config, result);
  const auto check = [&](const json& with, const std::string& msg) {
    check_error(node.run("CHECK", with, "c1", result), 105, msg);
  };
  json other = config;
  other["mode"] = "l3";
  check(other, "container ipvlan mode l2 does not match expected value: l3");
  other = config;
  other["master"] = "master2";
  check(other, "master of eth0 is not master2 any more");
  (void)ip({"-n", "c1", "route", "del", "198.51.100.0/24"});
  check(config, "Expected Route 198.51.100.0/24 not found");
  (void)ip({"-n", "c1", "address", "flush", "dev", "eth0"});
  check(config, "Failed to match addr 10.24.0.2/16 on interface eth0");
  (void)ip({"-n", "c1", "link", "del", "eth0"});
  check(config, "Container Interface name in prevResult: eth0 not found");
  (void)ip({"-n", "c1", "link", "add", "eth0", "type", "bridge"});
  check(config, "Error: Container interface eth0 not of type ipvlan");
  check_error(node.run("CHECK", config), 7, "Required prevResult missing");
}
