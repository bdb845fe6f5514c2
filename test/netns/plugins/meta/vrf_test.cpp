// vrf behind plugins that make the interface, on kernels that have VRFs.
#include <functional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "pkg/types/error.hpp"
#include "test/netns/plugins/meta/vrf_node.hpp"
#include "test/support/at_once.hpp"

using namespace cni;
using namespace cni::test;

TEST_CASE("vrf moves an interface with all of its routes and both CHECKs are content",
          "[netns][kind:vrf]") {
  VrfNode node;
  const std::string type = GENERATE("bridge", "ptp");
  json in_front = ptp("10.71.0.0/24", "fd00:71::/64");
  if (type == "bridge") in_front.update({{"type", "bridge"}, {"isGateway", true}});
  CAPTURE(type);
  const json result = node.add(in_front);
  const json before = all_routes("main");
  REQUIRE(before[0].size() >= 2);
  REQUIRE(before[1].size() >= 2);
  const json addresses = ipv6_addresses_on("c1", "eth0");
  json chained = vrf("blue");
  chained["prevResult"] = result;
  CHECK(node.add(chained) == result);

  CHECK(master_of("eth0") == "blue");
  CHECK(table_of("blue") == 1);
  CHECK(all_routes("1") == before);
  CHECK(all_routes("main") == json{json::array(), json::array()});
  CHECK(ipv6_addresses_on("c1", "eth0") == addresses);
  node.check(vrf("blue"), result);
  node.check(in_front, result);
  node.del(vrf("blue"));
  CHECK_FALSE(find_link_json("c1", "blue"));
  CHECK_FALSE(master_of("eth0"));
  node.del(vrf("blue"));
  node.del(in_front);
  CHECK_FALSE(find_link_json("c1", "eth0"));
}

TEST_CASE("vrf keeps routes of every scope and table and order", "[netns][kind:vrf]") {
  VrfNode node;
  make_link("eth0");
  (void)ip({"-n", "c1", "address", "add", "10.72.0.2/24", "dev", "eth0"});
  (void)ip({"-n", "c1", "address", "add", "fd00:72::2/64", "dev", "eth0", "nodad"});
  const std::vector<std::vector<std::string>> routes = {
      {"192.0.2.0/24", "dev", "eth0"},
      {"default", "via", "10.72.0.1", "mtu", "1300", "advmss", "1200"},
      {"default", "via", "10.72.0.3"},
      {"default", "via", "10.72.0.4", "metric", "50"},
      {"198.51.100.0/24", "table", "77", "via", "192.0.2.9"},
      {"10.99.0.0/16", "via", "172.16.0.1", "onlink", "dev", "eth0"},
  };
  for (std::vector<std::string> route : routes) {
    route.insert(route.begin(), {"-n", "c1", "route", "append"});
    (void)ip(route);
  }
  const std::vector<std::vector<std::string>> routes6 = {
      {"2001:db8::/32", "dev", "eth0"},
      {"default", "via", "fd00:72::1", "src", "fd00:72::2"},
      {"2001:db8:1::/48", "via", "fd00:72::1", "table", "77"},
      {"2001:db8:2::/48", "via", "fe80::1", "dev", "eth0"},
      {"2001:db8:3::/48", "nexthop", "via", "fd00:72::1", "nexthop", "via", "fd00:72::3"},
  };
  for (std::vector<std::string> route : routes6) {
    route.insert(route.begin(), {"-n", "c1", "-6", "route", "add"});
    (void)ip(route);
  }
  // The kernel's own for the address, which ptp removes, does not come back.
  (void)ip({"-n", "c1", "route", "del", "10.72.0.0/24", "dev", "eth0"});
  const json main = all_routes("main");
  const json other = all_routes("77");
  REQUIRE(main[0].size() == 5);
  REQUIRE(main[1].size() == 5);
  node.add_on("eth0", vrf("blue", {{"table", 4000}}));
  CHECK(table_of("blue") == 4000);
  CHECK(all_routes("4000") == main);
  CHECK(all_routes("77") == other);
}

TEST_CASE("vrf keeps IPv6 addresses with their lifetimes and does not try them again",
          "[netns][kind:vrf]") {
  VrfNode node;
  make_link("eth0");
  const std::string keep = GENERATE("0", "1");
  CAPTURE(keep);
  (void)run_ok_in("/run/netns/c1", {"sh", "-c",
                                    "echo " + keep +
                                        " > /proc/sys/net/ipv6/conf/eth0/"
                                        "keep_addr_on_down"});
  const std::vector<std::vector<std::string>> wanted = {
      {"fd00:73::2/64"},
      {"fd00:73:1::2/64", "nodad"},
      {"fd00:73:2::2/64", "valid_lft", "5000", "preferred_lft", "4000", "nodad"},
      {"fd00:73:3::2/64", "noprefixroute", "nodad"},
  };
  for (std::vector<std::string> address : wanted) {
    address.insert(address.begin(), {"-n", "c1", "address", "add"});
    address.insert(address.end(), {"dev", "eth0"});
    (void)ip(address);
  }
  wait_for_detection("eth0");
  const json before = ipv6_addresses_on("c1", "eth0");
  REQUIRE(before.size() == 4);
  node.add_on("eth0", vrf("blue"));
  CHECK(ipv6_addresses_on("c1", "eth0") == before);
}

TEST_CASE("vrf takes an interface without addresses that is down", "[netns][kind:vrf]") {
  VrfNode node;
  (void)ip({"-n", "c1", "link", "add", "eth0", "type", "veth", "peer", "name", "peer0"});
  (void)ip({"-n", "c1", "address", "add", "fd00:74::2/64", "dev", "eth0"});
  node.add_on("eth0", vrf("blue"));
  CHECK(master_of("eth0") == "blue");
  CHECK(find_link_json("c1", "eth0")->at("flags").dump().find("\"UP\"") == std::string::npos);
  CHECK(addresses_on("c1", "eth0") == std::vector<std::string>{"fd00:74::2/64"});
  node.del_on("eth0", vrf("blue"));
}

TEST_CASE("vrf chooses the first table that nobody uses", "[netns][kind:vrf]") {
  VrfNode node;
  for (const char* link : {"eth0", "eth1", "eth2"}) make_link(link);
  (void)ip({"-n", "c1", "link", "add", "other", "type", "vrf", "table", "2"});
  (void)ip({"-n", "c1", "rule", "add", "from", "10.1.0.0/16", "table", "3"});
  (void)ip({"-n", "c1", "-6", "route", "add", "2001:db8::/32", "dev", "eth2", "table", "4"});
  node.add_on("eth0", vrf("red"));
  node.add_on("eth1", vrf("green"));
  CHECK(table_of("red") == 1);
  CHECK(table_of("green") == 5);
  // One that is there is joined, whatever its table.
  node.add_on("eth2", vrf("other"));
  CHECK(master_of("eth2") == "other");
  CHECK(table_of("other") == 2);
}

TEST_CASE("a VRF goes with its last interface", "[netns][kind:vrf]") {
  VrfNode node;
  for (const char* link : {"eth0", "eth1"}) make_link(link);
  for (const char* link : {"eth0", "eth1"}) node.add_on(link, vrf("blue"));
  node.del_on("eth0", vrf("blue"));
  CHECK(master_of("eth1") == "blue");
  CHECK_FALSE(master_of("eth0"));
  // Without a link, and with a configuration that says nothing.
  (void)ip({"-n", "c1", "link", "del", "eth0"});
  node.del_on("eth0", vrf("blue"));
  CHECK(master_of("eth1") == "blue");
  node.del_on("eth1", {{"type", "vrf"}, {"vrfname", 7}});
  CHECK_FALSE(master_of("eth1"));
  CHECK_FALSE(find_link_json("c1", "blue"));
}

TEST_CASE("vrf DEL leaves links alone that are no VRF", "[netns][kind:vrf]") {
  VrfNode node;
  make_link("eth0");
  (void)ip({"-n", "c1", "link", "add", "blue", "type", "bridge"});
  (void)ip({"-n", "c1", "link", "set", "eth0", "master", "blue"});
  node.del_on("eth0", vrf("blue"));
  CHECK(master_of("eth0") == "blue");
  check_error(node.run_on("eth0", "ADD", vrf("red")), 106,
              "cmdAdd failed: interface eth0 has already a master set: blue");
  CHECK_FALSE(find_link_json("c1", "red"));
}

TEST_CASE("vrf says what is in its way", "[netns][kind:vrf]") {
  VrfNode node;
  for (const char* link : {"eth0", "eth1"}) make_link(link);
  (void)ip({"-n", "c1", "link", "add", "other", "type", "vrf", "table", "12"});
  check_error(node.run_on("eth0", "ADD", vrf("eth1")), 106,
              "cmdAdd failed: Netlink eth1 is not a VRF but of type veth");
  check_error(node.run_on("eth0", "ADD", vrf("lo")), 106, "cmdAdd failed: Netlink lo is not a VRF");
  check_error(node.run_on("eth0", "ADD", vrf("other", {{"table", 13}})), 106,
              "cmdAdd failed: VRF other already exist with different routing table 12");
  check_error(node.run_on("nosuch", "ADD", vrf("blue")), 102,
              "cmdAdd failed: could not get link by name nosuch");
  // The kernel's refusal: the name of a sysctl.
  check_error(node.run_on("eth0", "ADD", vrf("all")), 102,
              "cmdAdd failed: could not add VRF all: add vrf all: invalid argument");
  CHECK_FALSE(master_of("eth0"));
  CHECK(ip({"-n", "c1", "-j", "link", "show", "type", "vrf"}).size() == 1);
  node.add_on("eth0", vrf("other", {{"table", 12}}));
  CHECK(node.run("STATUS", vrf("blue")).ok());
}

TEST_CASE("vrf works with names that have dots", "[netns][kind:vrf]") {
  VrfNode node;
  make_link("eth0.100");
  (void)ip({"-n", "c1", "address", "add", "fd00:75::2/64", "dev", "eth0.100", "nodad"});
  node.add_on("eth0.100", vrf("b.l.u.e"));
  CHECK(master_of("eth0.100") == "b.l.u.e");
  CHECK(addresses_on("c1", "eth0.100") == std::vector<std::string>{"fd00:75::2/64"});
  node.del_on("eth0.100", vrf("b.l.u.e"));
  CHECK_FALSE(find_link_json("c1", "b.l.u.e"));
}

TEST_CASE("vrf CHECK names what is different", "[netns][kind:vrf]") {
  VrfNode node;
  const json in_front = ptp("10.76.0.0/24", "fd00:76::/64");
  const json result = node.add(in_front);
  json chained = vrf("blue", {{"table", 10}});
  chained["prevResult"] = result;
  (void)node.add(chained);
  const auto differs = [&](const json& config, const std::string& msg) {
    const PluginRun run = node.run("CHECK", config, "c1", result);
    INFO(run.describe());
    check_error(run, 105, msg);
  };
  node.check(vrf("blue"), result);
  node.check(vrf("blue", {{"table", 10}}), result);
  differs(vrf("blue", {{"table", 11}}), "VRF blue already exist with different routing table 10");
  differs(vrf("red"), "failed to find eth0 associated to vrf red: there is no such VRF");
  (void)ip({"-n", "c1", "link", "set", "blue", "down"});
  differs(vrf("blue"), "VRF blue is down");
  (void)ip({"-n", "c1", "link", "set", "blue", "up"});
  (void)ip({"-n", "c1", "route", "del", "default", "table", "10"});
  differs(vrf("blue"), "Expected Route 0.0.0.0/0 not found in routing table 10 of eth0");
  (void)ip({"-n", "c1", "route", "add", "default", "via", "10.76.0.1", "dev", "eth0", "onlink"});
  differs(vrf("blue"), "Expected Route 0.0.0.0/0 not found in routing table 10 of eth0");
  (void)ip(
      {"-n", "c1", "route", "add", "default", "via", "10.76.0.1", "dev", "eth0", "table", "10"});
  node.check(vrf("blue"), result);
  (void)ip({"-n", "c1", "address", "del", "fd00:76::2/64", "dev", "eth0"});
  differs(vrf("blue"), "Failed to match addr fd00:76::2/64 on interface eth0");
  (void)ip({"-n", "c1", "link", "set", "eth0", "nomaster"});
  differs(vrf("blue"), "failed to find eth0 associated to vrf blue: it is not in it");
  (void)ip({"-n", "c1", "link", "del", "eth0"});
  differs(vrf("blue"), "failed to find eth0 associated to vrf blue: there is no such interface");
}

TEST_CASE("interfaces that come and go at once share a VRF and tables do not collide",
          "[netns][kind:vrf]") {
  constexpr int kLinks = 8;
  VrfNode node;
  for (int i = 0; i < kLinks; ++i) {
    const std::string name = "net" + std::to_string(i);
    make_link(name);
    (void)ip({"-n", "c1", "address", "add", "10." + std::to_string(i) + ".0.2/24", "dev", name});
  }
  const auto call_at_once = [&](const std::vector<const char*>& commands,
                                const std::function<json(int)>& config) {
    run_at_once(kLinks, [&](int number) {
      for (const char* command : commands) {
        const PluginRun run = node.run_on("net" + std::to_string(number), command, config(number));
        if (!run.ok()) throw std::runtime_error(run.describe());
      }
    });
  };
  const auto shared = [](int) { return vrf("blue"); };
  call_at_once({"ADD"}, shared);
  for (int i = 0; i < kLinks; ++i) CHECK(master_of("net" + std::to_string(i)) == "blue");
  // Each DEL may be the last one while others come.
  call_at_once({"DEL", "ADD", "DEL", "ADD", "DEL"}, shared);
  CHECK_FALSE(find_link_json("c1", "blue"));

  const auto own = [](int number) { return vrf(("own" + std::to_string(number)).c_str()); };
  call_at_once({"ADD"}, own);
  std::vector<std::uint32_t> tables;
  for (int i = 0; i < kLinks; ++i) tables.push_back(table_of(("own" + std::to_string(i)).c_str()));
  std::sort(tables.begin(), tables.end());
  CHECK(tables == std::vector<std::uint32_t>{1, 2, 3, 4, 5, 6, 7, 8});
  call_at_once({"DEL"}, own);
  CHECK(ip({"-n", "c1", "-j", "link", "show", "type", "vrf"}).empty());
}

TEST_CASE("two interfaces with the same addresses both work in VRFs of their own",
          "[netns][kind:vrf]") {
  VrfNode node;
  // Two neighbours with the same address, behind two interfaces with the same address.
  for (const char* side : {"red", "blue"}) {
    const std::string neighbour = std::string("beside-") + side;
    const std::string link = std::string("to-") + side;
    (void)node.spaces.container(neighbour);
    (void)ip({"-n", "c1", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns",
              neighbour});
    for (const auto& [netns, end, number] :
         {std::tuple<std::string, std::string, const char*>{"c1", link, "2"},
          {neighbour, "eth0", "1"}}) {
      (void)ip({"-n", netns, "link", "set", end, "up"});
      (void)ip({"-n", netns, "address", "add", cat("10.77.0.", number, "/24"), "dev", end});
      (void)ip(
          {"-n", netns, "address", "add", cat("fd00:77::", number, "/64"), "dev", end, "nodad"});
    }
    (void)ip({"-n", neighbour, "link", "set", "lo", "up"});
    // Only the neighbour on this side has it, behind itself.
    (void)ip({"-n", neighbour, "address", "add", cat("192.0.2.", side[0] == 'r' ? 1 : 2, "/32"),
              "dev", "lo"});
    (void)ip({"-n", "c1", "route", "add", "default", "via", "10.77.0.1", "dev", link, "metric",
              side[0] == 'r' ? "10" : "20"});
    node.add_on(link, vrf(side));
  }
  const auto reaches = [](const std::string& vrf_name, const std::string& address) {
    return run_in("/run/netns/c1", {"ping", "-n", "-c", "1", "-w", "3", "-I", vrf_name, address})
        .ok();
  };
  for (const char* side : {"red", "blue"}) {
    CHECK(reaches(side, "10.77.0.1"));
    CHECK(reaches(side, "fd00:77::1"));
  }
  CHECK(reaches("red", "192.0.2.1"));
  CHECK_FALSE(reaches("red", "192.0.2.2"));
  CHECK(reaches("blue", "192.0.2.2"));
  CHECK_FALSE(reaches("blue", "192.0.2.1"));
}
