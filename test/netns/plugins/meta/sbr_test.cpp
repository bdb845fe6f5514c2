// What ADD of sbr makes of the routes of an interface.
#include <chrono>

#include "test/netns/plugins/meta/sbr_node.hpp"

using namespace cni::test;
using Lines = std::vector<std::string>;

TEST_CASE("each address gets a rule and a table with the routes of its interface", "[netns]") {
  SbrNode node;
  node.batch(
      "route add 198.51.100.0/24 via 10.2.0.9 dev net1 mtu lock 1300 metric 7\n"
      "route add 192.0.2.0/24 via 10.3.0.9 dev net1 proto static\n"
      "route add 203.0.113.0/24 via 192.0.2.9 dev net1 onlink\n"
      "route add 172.16.0.0/16 nexthop via 10.2.0.8 nexthop via 10.2.0.9\n"
      "route add 2001:db8::/32 via fd00:2::9 dev net1 pref high\n");
  const Lines eth0_before = routes_in("-4", "main");
  const json result = addresses_of(
      {{"10.2.0.2/24", "10.2.0.1"}, {"10.3.0.2/24", "10.3.0.1"}, {"fd00:2::2/64", "fd00:2::1"}});
  const PluginRun added = node.sbr("ADD", result);
  INFO(added.describe());
  REQUIRE(added.ok());
  CHECK(added.document == result);

  CHECK(rules_of("-4") == Lines{"10.2.0.2 100", "10.3.0.2 101"});
  CHECK(rules_of("-6") == Lines{"fd00:2::2 102"});
  CHECK(routes_in("-4", "100") ==
        Lines{"\tnexthop via 10.2.0.8 dev net1 weight 1",
              "\tnexthop via 10.2.0.9 dev net1 weight 1",
              "10.2.0.0/24 dev net1 proto kernel scope link src 10.2.0.2", "172.16.0.0/16",
              "198.51.100.0/24 via 10.2.0.9 dev net1 metric 7 mtu lock 1300",
              "203.0.113.0/24 via 192.0.2.9 dev net1 onlink", "default via 10.2.0.1 dev net1"});
  CHECK(routes_in("-4", "101") ==
        Lines{"\tnexthop via 10.2.0.8 dev net1 weight 1",
              "\tnexthop via 10.2.0.9 dev net1 weight 1",
              "10.3.0.0/24 dev net1 proto kernel scope link src 10.3.0.2", "172.16.0.0/16",
              "192.0.2.0/24 via 10.3.0.9 dev net1 proto static",
              "203.0.113.0/24 via 192.0.2.9 dev net1 onlink", "default via 10.3.0.1 dev net1"});
  CHECK(routes_in("-6", "102") ==
        Lines{"2001:db8::/32 via fd00:2::9 dev net1 metric 1024 pref high",
              "default via fd00:2::1 dev net1 metric 1024 pref medium",
              "fd00:2::/64 dev net1 proto kernel metric 256 pref medium"});
  // Of the default route of two hops only the one over net1 goes.
  CHECK(routes_in("-4", "main") ==
        Lines{"10.1.0.0/24 dev eth0 proto kernel scope link src 10.1.0.2",
              "default via 10.1.0.1 dev eth0"});
  CHECK(routes_in("-6", "main") ==
        Lines{"default via fd00:1::1 dev eth0 metric 1024 pref medium",
              "fd00:1::/64 dev eth0 proto kernel metric 256 pref medium"});
  node.succeed("CHECK", result);
}

TEST_CASE("link-local addresses stay reachable over the interface", "[netns]") {
  SbrNode node;
  // The kernel makes the route once the link has a carrier.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (ip_in("c1", {"-j", "-6", "route", "show", "fe80::/64", "dev", "net1"}).empty()) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
  }
  node.succeed("ADD", net1_of_two_families());
  const json routes = ip_in("c1", {"-j", "-6", "route", "get", "fe80::1", "oif", "net1"});
  CHECK(routes.at(0).at("dev") == "net1");
}

TEST_CASE("a family without addresses and routes shared with other links are not touched",
          "[netns]") {
  SbrNode node;
  node.batch("route add 172.16.0.0/16 nexthop via 10.1.0.8 nexthop via 10.2.0.9\n");
  const Lines before = routes_in("-6", "main");
  node.succeed("ADD", addresses_of({{"10.2.0.2/24", "10.2.0.1"}}));
  CHECK(routes_in("-6", "main") == before);
  CHECK(rules_of("-6").empty());
  const Lines main = routes_in("-4", "main");
  CHECK(std::find(main.begin(), main.end(), "172.16.0.0/16") != main.end());
}

TEST_CASE("the default route leads where the address or the routes or the configuration say",
          "[netns]") {
  struct {
    json result;
    json config;
    const char* route;
    const char* route6;
  } const cases[] = {
      {addresses_of({{"10.3.0.2/24", "10.3.0.1"}, {"fd00:2::2/64", "fd00:2::9"}}), json::object(),
       "default via 10.3.0.1 dev net1", "default via fd00:2::1 dev net1 metric 1024 pref medium"},
      {addresses_of({{"10.3.0.2/24", ""}, {"fd00:2::2/64", ""}}), json::object(),
       "default via 10.3.0.7 dev net1", "default via fd00:2::1 dev net1 metric 1024 pref medium"},
      {net1_of_two_families(),
       {{"gateways", {"10.2.0.8", "fd00:2::8"}}},
       "default via 10.2.0.8 dev net1",
       "default via fd00:2::8 dev net1 metric 1024 pref medium"}};
  for (const auto& [result, config, route, route6] : cases) {
    SbrNode node;
    json with_routes = result;
    with_routes["routes"] = {{{"dst", "0.0.0.0/0"}, {"gw", "10.3.0.7"}},
                             {{"dst", "::/0"}, {"gw", "fd00:2::1"}}};
    node.succeed("ADD", with_routes, config);
    CAPTURE(config.dump(), with_routes.dump());
    const Lines table = routes_in("-4", "100");
    CHECK(std::count(table.begin(), table.end(), route) == 1);
    const Lines table6 = routes_in("-6", "101");
    CHECK(std::count(table6.begin(), table6.end(), route6) == 1);
    node.succeed("CHECK", with_routes, config);
  }
}

TEST_CASE("with hints unbound packets to the subnets get the address of the interface", "[netns]") {
  SbrNode node;
  const json result = addresses_of(
      {{"10.2.0.2/24", "10.2.0.1"}, {"10.3.0.2/24", ""}, {"fd00:2::2/64", "fd00:2::1"}});
  const json config = {{"addSourceHints", true}};
  node.succeed("ADD", result, config);
  const auto source_to = [](const char* destination) {
    const json routes = ip_in("c1", {"-j", "route", "get", destination});
    return routes.at(0).at("dev").get<std::string>() + " " +
           routes.at(0).at("prefsrc").get<std::string>();
  };
  CHECK(source_to("10.2.0.9") == "net1 10.2.0.2");
  CHECK(source_to("10.3.0.9") == "net1 10.3.0.2");
  CHECK(source_to("fd00:2::9") == "net1 fd00:2::2");
  CHECK(source_to("192.0.2.9") == "eth0 10.1.0.2");
  CHECK(routes_in("-6", "main") ==
        Lines{"default via fd00:1::1 dev eth0 metric 1024 pref medium",
              "fd00:1::/64 dev eth0 proto kernel metric 256 pref medium",
              "fd00:2::/64 dev net1 src fd00:2::2 metric 256 pref medium"});
  node.succeed("CHECK", result, config);
}

TEST_CASE("with a table of somebody else only rules are made", "[netns]") {
  SbrNode node;
  const Lines before = routes_in("-4", "all");
  const Lines before6 = routes_in("-6", "all");
  node.batch("rule add from 10.2.0.2 lookup 6\n");
  const json config = {{"table", 5}};
  node.succeed("ADD", net1_of_two_families(), config);
  CHECK(rules_of("-4") == Lines{"10.2.0.2 5", "10.2.0.2 6"});
  CHECK(rules_of("-6") == Lines{"fd00:2::2 5"});
  CHECK(routes_in("-4", "all") == before);
  CHECK(routes_in("-6", "all") == before6);
  node.succeed("CHECK", net1_of_two_families(), config);
  node.batch("route add default via 10.2.0.1 dev net1 table 5\n");
  node.succeed("DEL", nullptr, config);
  CHECK(rules_of("-4") == Lines{"10.2.0.2 6"});
  CHECK(rules_of("-6").empty());
  CHECK(routes_in("-4", "5") == Lines{"default via 10.2.0.1 dev net1"});
}

TEST_CASE("tables that others have in rules or routes are not taken", "[netns]") {
  SbrNode node;
  node.batch("rule add iif eth0 lookup 100\nroute add 192.0.2.0/24 dev eth0 table 101\n");
  node.batch6("rule add iif eth0 lookup 102\nroute add 2001:db8::/32 dev eth0 table 103\n");
  node.succeed("ADD", net1_of_two_families());
  node.succeed("ADD", addresses_of({{"10.1.0.2/24", "10.1.0.1"}}, "eth0"), json::object(), "eth0");
  CHECK(rules_of("-4") == Lines{"10.1.0.2 106", "10.2.0.2 104"});
  CHECK(rules_of("-6") == Lines{"fd00:2::2 105"});
}

TEST_CASE("an ADD that fails leaves routes and rules as they were", "[netns]") {
  SbrNode node;
  const Lines before = routes_in("-4", "all");
  const Lines before6 = routes_in("-6", "all");
  const PluginRun run =
      node.sbr("ADD", net1_of_two_families(), {{"gateways", {"fe80::1:2", "192.0.2.7"}}});
  check_error(run, 102, "add route default via 192.0.2.7 ");
  CHECK(routes_in("-4", "all") == before);
  CHECK(routes_in("-6", "all") == before6);
  CHECK(rules_of("-4").empty());
  CHECK(rules_of("-6").empty());
  check_error(node.sbr("ADD", addresses_of({{"10.2.0.2/24", ""}}, "gone"), json::object(), "gone"),
              102, "failed to lookup \"gone\"");
}

TEST_CASE("STATUS of sbr is content where the kernel has rules", "[netns]") {
  SbrNode node;
  node.succeed("STATUS", nullptr, {{"gateways", {"fd00::1"}}});
}
