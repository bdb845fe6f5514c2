// Addresses that are put back as they were.
#include "pkg/netlink/address_copy.hpp"

#include <algorithm>

#include "pkg/netlink/new_link.hpp"
#include "pkg/netlink/route_copy.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/netns_fixture.hpp"

using namespace cni;
using namespace cni::netlink;
using namespace cni::test;

namespace {

// A link "a0" with a carrier.
struct Host {
  Namespaces spaces;
  Socket socket = Socket::open();
  LinkIndex link;

  Host() {
    (void)ip({"link", "add", "a0", "type", "veth", "peer", "name", "a1"});
    for (const char* name : {"a0", "a1"}) (void)ip({"link", "set", name, "up"});
    link = get_link(socket, "a0").index;
  }
};

std::vector<KernelAddress> without_automatic(std::vector<KernelAddress> addresses) {
  std::erase_if(addresses, [](const KernelAddress& address) { return address.is_automatic(); });
  return addresses;
}

}  // namespace

TEST_CASE("addresses come back with lifetimes and metrics and peers and flags", "[netns]") {
  Host host;
  const auto add = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"address", "add"});
    arguments.insert(arguments.end(), {"dev", "a0", "nodad"});
    (void)ip(arguments);
  };
  add({"fd00:1::2/64"});
  add({"fd00:2::2/64", "valid_lft", "5000", "preferred_lft", "4000"});
  add({"fd00:3::2", "peer", "fd00:3::9/128"});
  add({"fd00:4::2/64", "metric", "77"});
  add({"fd00:5::2/64", "noprefixroute"});
  const json before = ipv6_addresses_on("", "a0");
  REQUIRE(before.size() == 5);

  const auto kept = without_automatic(list_kernel_addresses(host.socket, host.link, Family::kIpv6));
  REQUIRE(kept.size() == 5);
  (void)ip({"-6", "address", "flush", "dev", "a0"});
  CHECK(ipv6_addresses_on("", "a0").empty());
  for (const KernelAddress& address : kept) {
    CHECK(address.is_settled());
    CHECK(address.is_untried());
    put_kernel_address(host.socket, address, Dad::kKernelDefault);
    put_kernel_address(host.socket, address, Dad::kKernelDefault);
  }
  CHECK(ipv6_addresses_on("", "a0") == before);
}

TEST_CASE("an address that is kept from detection is usable at once", "[netns]") {
  Host host;
  (void)ip({"address", "add", "fd00:1::2/64", "dev", "a0", "nodad"});
  auto kept = without_automatic(list_kernel_addresses(host.socket, host.link, Family::kIpv6));
  REQUIRE(kept.size() == 1);
  kept[0].address.flags = 0;  // as of an address that has passed detection
  CHECK_FALSE(kept[0].is_untried());
  (void)ip({"-6", "address", "flush", "dev", "a0"});
  put_kernel_address(host.socket, kept[0], Dad::kSkip);
  CHECK_FALSE(ipv6_addresses_on("", "a0").at(0).contains("tentative"));
  CHECK(ipv6_addresses_on("", "a0").at(0).value("nodad", false));
  // It does not become tentative again when the flag is taken back.
  put_kernel_address(host.socket, kept[0], Dad::kKernelDefault);
  CHECK_FALSE(ipv6_addresses_on("", "a0").at(0).contains("tentative"));
  CHECK_FALSE(ipv6_addresses_on("", "a0").at(0).contains("nodad"));
}

TEST_CASE("link-local addresses are the kernel's own and tentative ones are not settled",
          "[netns]") {
  Host host;
  (void)ip({"link", "set", "a1", "down"});  // detection waits for a carrier
  (void)ip({"address", "add", "fd00:1::2/64", "dev", "a0"});
  (void)ip({"address", "add", "fe80::99/64", "dev", "a0", "nodad"});
  bool has_tentative = false;
  for (const KernelAddress& address :
       list_kernel_addresses(host.socket, host.link, Family::kIpv6)) {
    const bool is_link_local = address.address.prefix.address.to_string().find("fe80:") == 0;
    CHECK(address.is_automatic() == is_link_local);
    if (is_link_local) continue;
    has_tentative = true;
    CHECK_FALSE(address.is_settled());
  }
  CHECK(has_tentative);
}

TEST_CASE("the wait for local routes ends when they are there or the time is over", "[netns]") {
  Host host;
  (void)ip({"address", "add", "fd00:1::2/64", "dev", "a0", "nodad"});
  const auto wait = [&](const char* address, int milliseconds) {
    return wait_for_local_routes(host.socket, host.spaces.host(), host.link, TableId::kLocal,
                                 {Ip::parse(address).value()},
                                 std::chrono::milliseconds(milliseconds));
  };
  CHECK(wait("fd00:1::2", 60000));
  CHECK_FALSE(ip({"-6", "-j", "route", "show", "table", "local", "fd00:1::2"}).empty());
  CHECK_FALSE(wait("fd00:1::3", 50));
  CHECK(wait_for_local_routes(host.socket, host.spaces.host(), host.link, TableId{99}, {},
                              std::chrono::milliseconds(0)));
}

TEST_CASE("a route is put behind those of the same destination", "[netns]") {
  Host host;
  (void)ip({"address", "add", "10.1.0.2/24", "dev", "a0"});
  for (const char* gateway : {"10.1.0.1", "10.1.0.3"}) {
    (void)ip({"route", "append", "192.0.2.0/24", "via", gateway});
  }
  const RouteFilter filter{.family = Family::kIpv4, .table = TableId::kMain, .link = host.link};
  const TableId elsewhere{1000};
  std::vector<bool> added;
  for (int round = 0; round < 2; ++round) {
    for (const KernelRoute& route : list_kernel_routes(host.socket, filter)) {
      added.push_back(add_kernel_route(host.socket, route, elsewhere, Among::kLast));
    }
  }
  CHECK(added == std::vector<bool>{true, true, true, false, false, false});
  const json routes = ip({"-j", "route", "show", "table", "1000", "192.0.2.0/24"});
  REQUIRE(routes.size() == 2);
  CHECK(routes[0].at("gateway") == "10.1.0.1");
  CHECK(routes[1].at("gateway") == "10.1.0.3");
}

TEST_CASE("a link has ports while any link has it as its master", "[netns]") {
  Host host;
  (void)ip({"link", "add", "br0", "type", "bridge"});
  (void)ip({"link", "add", "br1", "type", "bridge"});
  const LinkIndex bridge = get_link(host.socket, "br0").index;
  CHECK_FALSE(has_ports(host.socket, bridge));
  (void)ip({"link", "set", "a0", "master", "br0"});
  CHECK(has_ports(host.socket, bridge));
  CHECK_FALSE(has_ports(host.socket, get_link(host.socket, "br1").index));
  (void)ip({"link", "set", "a0", "nomaster"});
  CHECK_FALSE(has_ports(host.socket, bridge));
}

TEST_CASE("a VRF is born up and it and its ports know their table", "[netns][kind:vrf]") {
  require_kind("vrf");
  Host host;
  add_vrf(host.socket, {.name = "blue", .table = 4000});
  const json made = find_link_json("", "blue").value();
  CHECK(made.at("linkinfo").at("info_kind") == "vrf");
  CHECK(made.at("linkinfo").at("info_data").at("table") == 4000);
  CHECK(made.at("flags").dump().find("\"UP\"") != std::string::npos);
  CHECK(get_link(host.socket, "blue").vrf_table == 4000);
  CHECK(get_link(host.socket, "a0").vrf_table == 0);
  (void)ip({"link", "set", "a0", "master", "blue"});
  CHECK(get_link(host.socket, "a0").vrf_table == 4000);
}
