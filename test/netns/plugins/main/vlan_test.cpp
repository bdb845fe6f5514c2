#include <unistd.h>

#include "test/netns/plugins/main/master_node.hpp"
#include "test/support/frame_capture.hpp"
#include "test/support/snapshot.hpp"

using namespace cni;
using namespace cni::test;

namespace {

// On the wire a host takes part in VLAN 5.
class VlanNode : public MasterNode {
 public:
  VlanNode() : MasterNode("vlan") {
    (void)ip(
        {"-n", "wire", "link", "add", "link", "far", "name", "far.5", "type", "vlan", "id", "5"});
    (void)ip({"-n", "wire", "address", "add", "10.24.9.9/16", "dev", "far.5"});
    (void)ip({"-n", "wire", "link", "set", "far.5", "up"});
  }
};

json host_local(const std::string& subnet) { return {{"type", "host-local"}, {"subnet", subnet}}; }

json vlan(const json& more = json::object()) {
  json config = {
      {"type", "vlan"}, {"master", "master0"}, {"vlanId", 5}, {"ipam", host_local("10.24.0.0/16")}};
  config.update(more);
  return config;
}

json link_in(const std::string& container) { return find_link_json(container, "eth0").value(); }

}  // namespace

TEST_CASE("vlan connects a container at every version and leaves nothing after DEL",
          "[netns][kind:vlan]") {
  const std::string version =
      GENERATE("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0");
  VlanNode node;
  check_add_and_del(node, vlan({{"cniVersion", version}}), "10.24.0.2/16");
}

TEST_CASE("vlan sets each of its options", "[netns][kind:vlan]") {
  VlanNode node;
  const auto made = [&](const json& more) {
    const json config = vlan(more);
    const json result = node.add(config);
    json link = link_in("c1");
    CHECK(result.at("interfaces").size() == 1);
    CHECK(result.at("interfaces")[0].at("mac") == link.at("address"));
    CHECK(result.at("ips")[0].at("interface") == 0);
    CHECK(link.at("linkinfo").at("info_kind") == "vlan");
    CHECK(link.at("linkinfo").at("info_data").at("protocol") == "802.1Q");
    node.check(config, result);
    node.del(config);
    return link;
  };
  for (const int id : {0, 1, 5, 4094}) {
    CHECK(made({{"vlanId", id}}).at("linkinfo").at("info_data").at("id") == id);
  }
  CHECK(made(json::object()).at("mtu") == 1500);
  CHECK(made({{"mtu", 1400}}).at("mtu") == 1400);
}

TEST_CASE("vlan without a number is VLAN 0", "[netns][kind:vlan]") {
  VlanNode node;
  json config = vlan();
  config.erase("vlanId");
  (void)node.add(config);
  CHECK(link_in("c1").at("linkinfo").at("info_data").at("id") == 0);
}

TEST_CASE("vlan finds its master in the container if asked to", "[netns][kind:vlan]") {
  VlanNode node;
  check_master_in_container(node, vlan());
}

TEST_CASE("vlan refuses an MTU above its master's", "[netns][kind:vlan]") {
  VlanNode node;
  check_mtu_of_master(node, vlan());
}

TEST_CASE("vlan says that its master is down", "[netns][kind:vlan]") {
  VlanNode node;
  (void)ip({"link", "set", "master0", "down"});
  check_error(node.run("ADD", vlan()), 102, "master \"master0\" is down");
  check_error(node.run("STATUS", vlan()), 50, "master \"master0\" is down");
  CHECK_FALSE(find_link_json("c1", "eth0"));
}

TEST_CASE("vlan names the interface that has the number already", "[netns][kind:vlan]") {
  VlanNode node;
  const auto refused = [&](const std::string& container, const std::string& owner) {
    const PluginRun run = node.run("ADD", vlan(), container);
    INFO(run.describe());
    CHECK(run.code() == 102);
    CHECK(run.msg() == "failed to create vlan: add vlan eth0: file exists");
    CHECK(run.details().find("VLAN 5 of master0 is that of vlan " + owner) != std::string::npos);
    CHECK_FALSE(find_link_json(container, "eth0"));
  };
  (void)node.add(vlan(), "c1");
  refused("c2", "eth0 in /run/netns/c1");
  // The same with a host that has an interface of the container's name.
  (void)ip({"link", "add", "eth0", "type", "veth", "peer", "name", "other"});
  refused("c2", "eth0 in /run/netns/c1");
  // Another number is free, and that number of another master.
  (void)ip({"link", "set", "other", "up"});
  (void)node.add(vlan({{"master", "other"}}), "c2");
  node.del(vlan(), "c2");
  (void)node.add(vlan({{"vlanId", 6}}), "c2");
  node.del(vlan(), "c2");
  node.del(vlan(), "c1");

  (void)ip({"link", "add", "link", "master0", "name", "host.5", "type", "vlan", "id", "5"});
  refused("c2", "host.5 on the host");
  (void)ip({"link", "set", "host.5", "netns", "c2"});
  refused("c2", "host.5 in this container");
  (void)ip({"-n", "c2", "link", "del", "host.5"});
  (void)node.add(vlan(), "c2");
}

TEST_CASE("vlan says that the container has an interface of that name", "[netns][kind:vlan]") {
  VlanNode node;
  (void)node.add(vlan());
  const PluginRun run = node.run("ADD", vlan({{"vlanId", 6}}));
  INFO(run.describe());
  CHECK(run.code() == 102);
  CHECK(run.details().find("the container has an interface of that name") != std::string::npos);
  CHECK(link_in("c1").at("linkinfo").at("info_data").at("id") == 5);
}

TEST_CASE("vlan works with a host that has an interface of that name", "[netns][kind:vlan]") {
  VlanNode node;
  check_same_name_on_host(node, vlan());
}

TEST_CASE("vlan works with names that have dots", "[netns][kind:vlan]") {
  VlanNode node;
  (void)ip({"link", "add", "link", "master0", "name", "master0.100", "type", "vlan", "id", "100"});
  (void)ip({"link", "set", "master0.100", "up"});
  Call dotted;
  dotted.ifname = "eth0.5";
  const json config = vlan({{"master", "master0.100"}, {"ipam", host_local("fd00:24::/64")}});
  const json result = node.add(config, "c1", dotted);
  CHECK(sysctl("c1", "net/ipv6/conf/eth0.5/keep_addr_on_down") == "1");
  CHECK(node.run("CHECK", config, "c1", result, dotted).ok());
  CHECK(node.run("DEL", config, "c1", nullptr, dotted).ok());
  CHECK_FALSE(find_link_json("c1", "eth0.5"));
}

TEST_CASE("vlan deletes without its master and with a configuration that is wrong",
          "[netns][kind:vlan]") {
  VlanNode node;
  const json config = vlan();
  (void)node.add(config);
  CHECK(node.run("DEL", vlan({{"vlanId", 5000}, {"mtu", 70000}, {"master", ""}})).ok());
  CHECK_FALSE(find_link_json("c1", "eth0"));
  const std::string reservation = "/var/lib/cni/networks/testnet/10.24.0.3";
  (void)node.add(config);
  CHECK(::access(reservation.c_str(), F_OK) == 0);
  (void)ip({"link", "del", "master0"});
  node.del(config);
  CHECK(::access(reservation.c_str(), F_OK) != 0);
}

TEST_CASE("vlan keeps the DNS settings of its ipam plugin unless it has its own",
          "[netns][kind:vlan]") {
  VlanNode node;
  check_ipam_dns(node, vlan());
}

TEST_CASE("vlan forwards GC to its ipam plugin", "[netns][kind:vlan]") {
  VlanNode node;
  check_gc_reaches_ipam(node, vlan());
}

TEST_CASE("vlan CHECK names what is different", "[netns][kind:vlan]") {
  VlanNode node;
  (void)ip({"link", "add", "master2", "type", "veth", "peer", "name", "far2"});
  json config = vlan({{"mtu", 1400}});
  config["ipam"]["routes"] = json::array({{{"dst", "198.51.100.0/24"}}});
  const json result = node.add(config);
  node.check(config, result);
  const auto check = [&](const json& with, const std::string& msg) {
    check_error(node.run("CHECK", with, "c1", result), 105, msg);
  };
  json other = config;
  other["vlanId"] = 6;
  check(other, "VLAN of eth0 is 5, expected 6");
  other = config;
  other["master"] = "master2";
  check(other, "master of eth0 is not master2 any more");
  (void)ip({"-n", "c1", "link", "set", "eth0", "mtu", "1300"});
  check(config, "MTU of eth0 is 1300, expected 1400");
  (void)ip({"-n", "c1", "link", "set", "eth0", "mtu", "1400"});
  (void)ip({"-n", "c1", "route", "del", "198.51.100.0/24"});
  check(config, "Expected Route 198.51.100.0/24 not found");
  (void)ip({"-n", "c1", "address", "flush", "dev", "eth0"});
  check(config, "Failed to match addr 10.24.0.2/16 on interface eth0");
  (void)ip({"-n", "c1", "link", "set", "eth0", "address", "02:00:00:00:00:09"});
  check(config, "Interface eth0 Mac 02:00:00:00:00:09 doesn't match");
  check_error(node.run("CHECK", config), 7, "vlan: Required prevResult missing");
  (void)ip({"-n", "c1", "link", "del", "eth0"});
  check(config, "Container Interface name in prevResult: eth0 not found");
}

TEST_CASE("vlan reaches the hosts of its VLAN and no others", "[netns][kind:vlan]") {
  VlanNode node;
  // The same address behind another VLAN, and without any.
  (void)ip({"-n", "wire", "address", "add", "10.24.8.8/16", "dev", "far"});
  (void)node.add(vlan(), "c1");
  (void)node.add(vlan({{"vlanId", 6}}), "c2");
  CHECK(pings("c1", "10.24.9.9"));
  CHECK(tcp_client_seen(ns::Netns::open("/run/netns/c1"), ns::Netns::open("/run/netns/wire"),
                        "10.24.9.9") == "10.24.0.2");
  CHECK_FALSE(pings("c1", "10.24.0.3"));
  CHECK_FALSE(pings("c2", "10.24.9.9"));
  // It answers in its own VLAN.
  CHECK(pings("wire", "10.24.0.2"));
  CHECK_FALSE(pings("wire", "10.24.0.3"));
}

TEST_CASE("vlan announces its addresses in its VLAN", "[netns][kind:vlan]") {
  VlanNode node;
  const os::Fd capture = open_capture("wire");
  (void)node.add(vlan());
  // ARP, whose target is its own sender, 10.24.0.2.
  CHECK(captures(capture, 38, {10, 24, 0, 2}));
}

TEST_CASE("vlan reports an IPv6 address that another host has and leaves nothing",
          "[netns][kind:vlan]") {
  VlanNode node;
  (void)ip({"-n", "wire", "address", "add", "fd00:24::2/64", "dev", "far.5", "nodad"});
  const Snapshot before = take({"c1"});
  check_error(node.run("ADD", vlan({{"ipam", host_local("fd00:24::/64")}})), 106,
              "address fd00:24::2 is in use by another host");
  CHECK(diff(without_shared(before), without_shared(take({"c1"}))) == "");
}
