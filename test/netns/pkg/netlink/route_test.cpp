// Addresses, routes and rules.
#include "pkg/netlink/route.hpp"

#include <cerrno>

#include "pkg/netlink/addr.hpp"
#include "pkg/netlink/new_link.hpp"
#include "pkg/netlink/rule.hpp"
#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/netns_fixture.hpp"

using namespace cni;
using namespace cni::netlink;
using namespace cni::test;

namespace {

// A host with a link "a0" that is up and has a carrier.
struct Host {
  Namespaces spaces;
  Socket socket = Socket::open();
  LinkIndex a0;

  Host() {
    add_veth(socket, {.name = "a0", .peer_name = "a1"});
    a0 = get_link(socket, "a0").index;
    set_up(socket, a0);
    set_up(socket, get_link(socket, "a1").index);
  }
  void address(const char* text) { add_address(socket, a0, prefix(text), Dad::kSkip); }
  static Prefix prefix(const char* text) { return Prefix::parse(text).value(); }
};

json address_info(const std::string& link, const std::string& family) {
  return ip({"-j", family, "address", "show", "dev", link, "scope", "global"})[0].at(
      "addr_info")[0];
}

}  // namespace

TEST_CASE("addresses get the broadcast address of their subnet where it has one", "[netns]") {
  Host host;
  const auto [text, broadcast] =
      GENERATE(table<const char*, const char*>({{"10.1.2.3/24", "10.1.2.255"},
                                                {"10.1.2.1/30", "10.1.2.3"},
                                                {"10.1.2.3/31", ""},
                                                {"10.1.2.3/32", ""}}));
  host.address(text);
  const json info = address_info("a0", "-4");
  CHECK(info.value("broadcast", "") == broadcast);
  CHECK(info.at("local").get<std::string>() + "/" +
            std::to_string(info.at("prefixlen").get<int>()) ==
        text);
}

TEST_CASE("an IPv6 address that skips detection is usable at once", "[netns]") {
  Host host;
  host.address("fd00:1::1/64");
  CHECK(address_info("a0", "-6").value("nodad", false));
  CHECK_FALSE(address_info("a0", "-6").value("tentative", false));
}

TEST_CASE("addresses are listed and removed and exist once", "[netns]") {
  Host host;
  host.address("10.1.2.3/24");
  host.address("fd00:1::1/64");
  try {
    host.address("10.1.2.3/24");
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.sys_errno == EEXIST);
  }
  const auto has = [&](const char* text) {
    for (const Address& address : list_addresses(host.socket, host.a0)) {
      if (address.prefix == Host::prefix(text)) return true;
    }
    return false;
  };
  CHECK(has("10.1.2.3/24"));
  CHECK(has("fd00:1::1/64"));
  CHECK(remove_address(host.socket, host.a0, Host::prefix("10.1.2.3/24")));
  CHECK_FALSE(remove_address(host.socket, host.a0, Host::prefix("10.1.2.3/24")));
  CHECK_FALSE(has("10.1.2.3/24"));
  CHECK(list_addresses(host.socket, LinkIndex{9999}).empty());
}

TEST_CASE("every attribute of a route reaches the kernel", "[netns]") {
  Host host;
  host.address("10.1.0.2/24");
  add_route(host.socket, {.destination = Host::prefix("10.2.0.0/16"),
                          .gateway = Ip::parse("10.1.0.1"),
                          .source = Ip::parse("10.1.0.2"),
                          .link = host.a0,
                          .table = TableId{1000},
                          .priority = 77,
                          .mtu = 1300,
                          .advmss = 1200});
  const json routes = ip({"-j", "-d", "route", "show", "table", "1000"});
  REQUIRE(routes.size() == 1);
  CHECK(routes[0].at("dst") == "10.2.0.0/16");
  CHECK(routes[0].at("gateway") == "10.1.0.1");
  CHECK(routes[0].at("prefsrc") == "10.1.0.2");
  CHECK(routes[0].at("dev") == "a0");
  CHECK(routes[0].at("metric") == 77);
  CHECK(routes[0].at("metrics")[0].at("mtu") == 1300);
  CHECK(routes[0].at("metrics")[0].at("advmss") == 1200);

  const auto listed = list_routes(host.socket, {.family = Family::kIpv4, .table = TableId{1000}});
  REQUIRE(listed.size() == 1);
  CHECK(listed[0].mtu == 1300);
  CHECK(listed[0].advmss == 1200);
  CHECK(listed[0].priority == 77);
  CHECK(listed[0].gateway == Ip::parse("10.1.0.1"));
  CHECK(list_routes(host.socket, {.family = Family::kIpv4, .table = TableId{1001}}).empty());
}

TEST_CASE("a second gateway for a destination is accepted and the same route refused", "[netns]") {
  const auto [address, destination, first, second] =
      GENERATE(table<const char*, const char*, const char*, const char*>(
          {{"10.1.0.2/24", "10.2.0.0/16", "10.1.0.1", "10.1.0.3"},
           {"fd00:1::2/64", "fd00:2::/64", "fd00:1::1", "fd00:1::3"}}));
  Host host;
  host.address(address);
  Route route{
      .destination = Host::prefix(destination), .gateway = Ip::parse(first), .link = host.a0};
  add_route(host.socket, route);
  try {
    add_route(host.socket, route);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.sys_errno == EEXIST);
  }
  route.gateway = Ip::parse(second);
  add_route(host.socket, route);
  const Family family = route.destination.address.family();
  CHECK(remove_route(host.socket, route));
  route.gateway = Ip::parse(first);
  CHECK(remove_route(host.socket, route));
  CHECK_FALSE(remove_route(host.socket, route));
  for (const Route& left : list_routes(host.socket, {.family = family})) {
    CHECK(left.destination != route.destination);
  }
}

TEST_CASE("a route that the kernel refuses is named with its reason", "[netns]") {
  Host host;
  try {
    add_route(host.socket, {.destination = Host::prefix("10.9.0.0/16"),
                            .gateway = Ip::parse("10.8.0.1"),
                            .link = host.a0});
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.msg.starts_with("add route 10.9.0.0/16 via 10.8.0.1 link "));
    CHECK(error.msg.ends_with(": network is unreachable"));
    CHECK(error.sys_errno == ENETUNREACH);
    CHECK(error.details == "Nexthop has invalid gateway");
  }
}

TEST_CASE("the link of the default route is found in IPv4 before IPv6", "[netns]") {
  Host host;
  CHECK_FALSE(find_default_route_link(host.socket));
  host.address("fd00:1::2/64");
  (void)ip({"-6", "route", "add", "default", "via", "fd00:1::1"});
  CHECK(find_default_route_link(host.socket) == host.a0);
  add_veth(host.socket, {.name = "b0", .peer_name = "b1"});
  (void)ip({"link", "set", "b0", "up"});
  (void)ip({"address", "add", "10.5.0.2/24", "dev", "b0"});
  (void)ip({"route", "add", "default", "via", "10.5.0.1"});
  CHECK(find_default_route_link(host.socket) == get_link(host.socket, "b0").index);
}

TEST_CASE("rules are added once and listed and removed", "[netns]") {
  Host host;
  const Rule rule{.family = Family::kIpv4,
                  .source = Host::prefix("10.1.0.2/32"),
                  .table = TableId{1000},
                  .priority = 500};
  add_rule(host.socket, rule);
  CHECK_THROWS_AS(add_rule(host.socket, rule), Error);
  const json shown = ip({"-j", "rule", "show", "priority", "500"});
  REQUIRE(shown.size() == 1);
  CHECK(shown[0].at("src") == "10.1.0.2");
  CHECK(shown[0].at("table") == "1000");
  const auto listed = list_rules(host.socket, Family::kIpv4);
  CHECK(std::find(listed.begin(), listed.end(), rule) != listed.end());
  CHECK(remove_rule(host.socket, rule));
  CHECK_FALSE(remove_rule(host.socket, rule));
}

TEST_CASE("a rule that asks for more than the source is told apart", "[netns]") {
  Host host;
  const auto [words, has_more] = GENERATE(table<std::string, bool>({
      {"from 10.1.0.2 lookup 7", false},
      {"from 10.1.0.2 lookup 7 fwmark 3", true},
      {"from 10.1.0.2 lookup 7 iif lo", true},
      {"from 10.1.0.2 lookup 7 oif lo", true},
      {"from 10.1.0.2 to 10.2.0.0/16 lookup 7", true},
      {"from 10.1.0.2 lookup 7 uidrange 1-2", true},
      {"from 10.1.0.2 lookup 7 ipproto udp", true},
      {"from 10.1.0.2 lookup 7 suppress_prefixlength 8", true},
      {"from 10.1.0.2 lookup 7 protocol static", true},
      {"from 10.1.0.2 blackhole", true},
      {"not from 10.1.0.2 lookup 7", true},
  }));
  CAPTURE(words);
  (void)run_ok({"ip", "-b", "-"}, "rule add " + words + " priority 500\n");
  int found = 0;
  for (const Rule& rule : list_rules(host.socket, Family::kIpv4)) {
    if (rule.priority != 500U) continue;
    ++found;
    CHECK(rule.source == Host::prefix("10.1.0.2/32"));
    CHECK(rule.has_more == has_more);
  }
  CHECK(found == 1);
}

TEST_CASE("the kernel has rules for both families", "[netns]") {
  Host host;
  CHECK_NOTHROW(require_rules(host.socket, Family::kIpv4));
  CHECK_NOTHROW(require_rules(host.socket, Family::kIpv6));
}
