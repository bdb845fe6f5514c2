// Routes that are put into another table as they are.
#include "pkg/netlink/route_copy.hpp"

#include <array>

#include "pkg/netlink/link.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/netns_fixture.hpp"

using namespace cni;
using namespace cni::netlink;
using namespace cni::test;

namespace {

constexpr TableId kElsewhere{1000};

// A host with links "a0" and "b0" that are up and have carriers and addresses of both families.
struct Host {
  Namespaces spaces;
  Socket socket = Socket::open();

  Host() {
    for (const char* name : {"a", "b"}) {
      const std::string near = std::string(name) + "0";
      const std::string far = std::string(name) + "1";
      (void)ip({"link", "add", near, "type", "veth", "peer", "name", far});
      for (const std::string& link : {near, far}) (void)ip({"link", "set", link, "up"});
    }
    (void)ip({"address", "add", "10.1.0.2/24", "dev", "a0"});
    (void)ip({"address", "add", "fd00:1::2/64", "dev", "a0", "nodad"});
    (void)ip({"address", "add", "10.5.0.2/24", "dev", "b0"});
    (void)ip({"address", "add", "fd00:5::2/64", "dev", "b0", "nodad"});
  }

  LinkIndex link(const char* name) { return get_link(socket, name).index; }
};

// What `ip` says of a table's routes, but for how long they still live.
json routes_in(const char* family, const char* table) {
  json out = ip({"-j", "-d", family, "route", "show", "table", table});
  for (json& route : out) {
    route.erase("table");
    route.erase("expires");
  }
  return out;
}

json only_to(const json& routes, const std::string& destination) {
  json out = json::array();
  for (const json& route : routes) {
    if (route.at("dst") == destination) out.push_back(route);
  }
  return out;
}

void copy_all(Socket& socket, const RouteFilter& filter) {
  for (const KernelRoute& route : list_kernel_routes(socket, filter)) {
    put_kernel_route(socket, route, kElsewhere);
  }
}

}  // namespace

TEST_CASE("a route is put into another table with everything that it has", "[netns]") {
  using Words = std::vector<std::string>;
  const auto [family, destination, words] = GENERATE(table<const char*, const char*, Words>({
      {"-4", "10.9.0.0/16", {"via", "10.1.0.1", "metric", "7", "src", "10.1.0.2"}},
      {"-4", "10.9.0.0/16", {"via", "10.1.0.1", "mtu", "lock", "1300", "advmss", "1200"}},
      {"-4", "10.9.0.0/16", {"via", "10.1.0.1", "initcwnd", "20", "congctl", "reno"}},
      {"-4", "10.9.0.0/16", {"via", "192.0.2.1", "dev", "a0", "onlink"}},
      {"-4", "10.9.0.0/16", {"dev", "a0", "proto", "static", "scope", "link"}},
      {"-4", "10.9.0.0/16", {"dev", "a0", "tos", "0x10"}},
      {"-4",
       "10.9.0.0/16",
       {"nexthop", "via", "10.1.0.1", "weight", "2", "nexthop", "via", "10.5.0.1"}},
      {"-4", "default", {"via", "inet6", "fd00:1::1", "dev", "a0"}},
      {"-6", "fd00:9::/64", {"via", "fd00:1::1", "metric", "7", "pref", "high"}},
      {"-6", "fd00:9::/64", {"via", "fd00:1::1", "mtu", "1300", "proto", "static"}},
      {"-6", "fd00:9::/64", {"dev", "a0", "src", "fd00:1::2"}},
      {"-6", "fd00:9::/64", {"via", "fd00:1::1", "expires", "1000"}},
      {"-6", "fd00:9::/64", {"nexthop", "via", "fd00:1::1", "nexthop", "via", "fd00:5::1"}},
  }));
  Host host;
  Words command = {family, "route", "add", destination};
  command.insert(command.end(), words.begin(), words.end());
  (void)ip(command);
  const json before = only_to(routes_in(family, "main"), destination);
  REQUIRE(before.size() == 1);

  const Family number = std::string(family) == "-4" ? Family::kIpv4 : Family::kIpv6;
  copy_all(host.socket, {.family = number, .table = TableId::kMain, .link = host.link("a0")});

  CHECK(only_to(routes_in(family, "1000"), destination) == before);
  CHECK(only_to(routes_in(family, "main"), destination) == before);
}

TEST_CASE("a route's lifetime goes with it", "[netns]") {
  Host host;
  (void)ip({"-6", "route", "add", "fd00:9::/64", "via", "fd00:1::1", "expires", "1000"});
  copy_all(host.socket, {.family = Family::kIpv6, .table = TableId::kMain});
  const json there = only_to(ip({"-j", "-6", "route", "show", "table", "1000"}), "fd00:9::/64");
  REQUIRE(there.size() == 1);
  const int left = there[0].at("expires").get<int>();
  CHECK(left > 900);
  CHECK(left <= 1000);
}

TEST_CASE("a route with a next hop object is put with the object", "[netns]") {
  Host host;
  (void)ip({"nexthop", "add", "id", "17", "via", "10.1.0.1", "dev", "a0"});
  (void)ip({"route", "add", "10.9.0.0/16", "nhid", "17"});
  copy_all(host.socket, {.family = Family::kIpv4, .table = TableId::kMain});
  const json there = only_to(routes_in("-4", "1000"), "10.9.0.0/16");
  REQUIRE(there.size() == 1);
  CHECK(there[0].at("nhid") == 17);
  CHECK(there == only_to(routes_in("-4", "main"), "10.9.0.0/16"));
}

TEST_CASE("all of a link's routes are listed and no other's", "[netns]") {
  Host host;
  (void)ip({"route", "add", "10.9.0.0/16", "via", "10.1.0.1"});
  (void)ip(
      {"route", "add", "10.10.0.0/16", "nexthop", "via", "10.1.0.1", "nexthop", "via", "10.5.0.1"});
  const auto destinations = [&](const char* link) {
    std::string out;
    for (const KernelRoute& route : list_kernel_routes(
             host.socket,
             {.family = Family::kIpv4, .table = TableId::kMain, .link = host.link(link)})) {
      out += route.route.destination.to_string() + " ";
    }
    return out;
  };
  CHECK(destinations("a0") == "10.1.0.0/24 10.9.0.0/16 10.10.0.0/16 ");
  CHECK(destinations("b0") == "10.5.0.0/24 10.10.0.0/16 ");
}

TEST_CASE("a listed route is removed from its table alone", "[netns]") {
  Host host;
  (void)ip({"route", "add", "10.9.0.0/16", "via", "10.1.0.1", "metric", "7", "mtu", "1300"});
  (void)ip({"route", "add", "10.9.0.0/16", "via", "10.1.0.1", "metric", "8"});
  (void)ip({"route", "add", "10.9.0.0/16", "via", "10.1.0.1", "metric", "7", "table", "1000"});
  for (const KernelRoute& route :
       list_kernel_routes(host.socket, {.family = Family::kIpv4, .table = TableId::kMain})) {
    if (route.route.priority != 7) continue;
    CHECK(remove_kernel_route(host.socket, route));
    CHECK_FALSE(remove_kernel_route(host.socket, route));
  }
  const json left = only_to(routes_in("-4", "main"), "10.9.0.0/16");
  REQUIRE(left.size() == 1);
  CHECK(left[0].at("metric") == 8);
  CHECK(routes_in("-4", "1000").size() == 1);
}

TEST_CASE("a route is added beside those of the same destination and metric", "[netns]") {
  const Among place = GENERATE(Among::kFirst, Among::kLast);
  Host host;
  (void)ip({"route", "add", "default", "via", "10.1.0.1", "dev", "a0"});
  const auto routes =
      list_kernel_routes(host.socket, {.family = Family::kIpv4, .link = host.link("a0")});
  const auto route = std::find_if(routes.begin(), routes.end(), [](const KernelRoute& each) {
    return each.route.destination.is_default();
  });
  REQUIRE(route != routes.end());
  (void)ip({"route", "add", "default", "via", "10.5.0.1", "dev", "b0", "table", "1000"});
  CHECK(add_kernel_route(host.socket, *route, kElsewhere, place));
  CHECK_FALSE(add_kernel_route(host.socket, *route, kElsewhere, place));
  const json there = routes_in("-4", "1000");
  REQUIRE(there.size() == 2);
  CHECK(there[place == Among::kFirst ? 0 : 1].at("gateway") == "10.1.0.1");
  CHECK(there[place == Among::kFirst ? 1 : 0].at("gateway") == "10.5.0.1");
}

TEST_CASE("the part of an IPv6 route over one link is removed and added by itself", "[netns]") {
  Host host;
  (void)ip({"-6", "route", "add", "fd00:9::/64", "metric", "7", "nexthop", "via", "fd00:1::1",
            "weight", "3", "nexthop", "via", "fd00:5::1", "nexthop", "via", "fd00:5::9"});
  const json before = only_to(routes_in("-6", "main"), "fd00:9::/64");
  const auto find_part = [&](const char* link) {
    for (const KernelRoute& route : list_kernel_routes(
             host.socket,
             {.family = Family::kIpv6, .table = TableId::kMain, .link = host.link(link)})) {
      if (route.route.priority == 7) return part_over(route, host.link(link));
    }
    return std::optional<KernelRoute>();
  };
  const auto part = find_part("a0");
  REQUIRE(part);
  CHECK(part->route.gateway == Ip::parse("fd00:1::1"));
  CHECK(part->route.link == host.link("a0"));
  const auto both = find_part("b0");
  REQUIRE(both);
  CHECK(both->links.size() == 2);

  CHECK(remove_kernel_route(host.socket, *part));
  const json without = only_to(routes_in("-6", "main"), "fd00:9::/64");
  REQUIRE(without.size() == 1);
  CHECK(without[0].at("nexthops").size() == 2);
  CHECK_FALSE(find_part("a0"));
  CHECK(add_kernel_route(host.socket, *part, kElsewhere, Among::kLast));
  const json alone = only_to(routes_in("-6", "1000"), "fd00:9::/64");
  REQUIRE(alone.size() == 1);
  CHECK(alone[0].at("gateway") == "fd00:1::1");
  CHECK(alone[0].at("dev") == "a0");
  CHECK(add_kernel_route(host.socket, *part, TableId::kMain, Among::kFirst));
  const json after = only_to(routes_in("-6", "main"), "fd00:9::/64");
  REQUIRE(after.size() == 1);
  CHECK(after[0].at("nexthops").size() == before[0].at("nexthops").size());
}

TEST_CASE("next hops of IPv4 routes are not told apart", "[netns]") {
  Host host;
  (void)ip(
      {"route", "add", "10.9.0.0/16", "nexthop", "via", "10.1.0.1", "nexthop", "via", "10.5.0.1"});
  (void)ip(
      {"route", "add", "10.8.0.0/16", "nexthop", "via", "10.1.0.1", "nexthop", "via", "10.1.0.3"});
  int parts = 0;
  for (const KernelRoute& route : list_kernel_routes(
           host.socket,
           {.family = Family::kIpv4, .table = TableId::kMain, .link = host.link("a0")})) {
    const bool is_shared = route.route.destination.to_string() == "10.9.0.0/16";
    CHECK(part_over(route, host.link("a0")).has_value() != is_shared);
    CHECK_FALSE(part_over(route, LinkIndex{9999}));
    ++parts;
  }
  CHECK(parts == 3);
}
