// Which addresses sbr routes by, over which gateways, and which routes they need.
#include "plugins/meta/sbr/source.hpp"

#include "test/support/catch.hpp"

using namespace cni;
using namespace cni::sbr;

namespace {

Prefix prefix(const char* text) { return *Prefix::parse(text); }
Ip ip(const char* text) { return *Ip::parse(text); }

Route default_route(const char* destination, const char* gateway) {
  return {.destination = prefix(destination), .gateway = ip(gateway)};
}

std::vector<Source> sources(const Result& result, const Config& config = {}) {
  return sources_of(result, "eth0", config);
}

// The only source's gateway as text.
std::string gateway_of(const Result& result, const Config& config = {}) {
  const std::vector<Source> found = sources(result, config);
  REQUIRE(found.size() == 1);
  return found[0].gateway ? found[0].gateway->to_string() : "";
}

}  // namespace

TEST_CASE("sbr routes by the addresses of its interface and by those of none") {
  Result result;
  result.interfaces = {{.name = "br0"}, {.name = "eth0", .sandbox = "/run/netns/c"}};
  result.ips = {{.interface = 0, .address = prefix("10.1.0.1/24")},
                {.interface = 1, .address = prefix("10.1.0.2/24")},
                {.interface = 7, .address = prefix("10.1.0.3/24")},
                {.interface = -1, .address = prefix("10.1.0.4/24")},
                {.address = prefix("fd00::5/64")},
                {.address = prefix("10.1.0.2/24")}};
  const std::vector<Source> found = sources(result);
  REQUIRE(found.size() == 2);
  CHECK(found[0].address == prefix("10.1.0.2/24"));
  CHECK(found[1].address == prefix("fd00::5/64"));
}

TEST_CASE(
    "the default route leads to the configured gateway or that of the address or of a route") {
  Result result;
  result.ips = {{.address = prefix("10.1.0.2/24")}};
  CHECK(gateway_of(result) == "");
  result.routes = {{.destination = prefix("10.0.0.0/8"), .gateway = ip("10.1.0.7")},
                   default_route("::/0", "fd00::1"),
                   default_route("0.0.0.0/0", "192.0.2.1")};
  CHECK(gateway_of(result) == "192.0.2.1");
  result.routes.push_back(default_route("0.0.0.0/0", "10.1.0.254"));
  CHECK(gateway_of(result) == "10.1.0.254");
  result.ips[0].gateway = ip("10.1.0.1");
  CHECK(gateway_of(result) == "10.1.0.1");
  const Config config{.gateway_ipv4 = ip("10.1.0.9"), .gateway_ipv6 = ip("fd00::9")};
  CHECK(gateway_of(result, config) == "10.1.0.9");
}

TEST_CASE("a default route of another table says nothing of the gateway") {
  Result result;
  result.ips = {{.address = prefix("fd00::2/64")}};
  result.routes = {default_route("::/0", "fd00::1")};
  result.routes[0].table = 7;
  CHECK(gateway_of(result) == "");
}

TEST_CASE("a source needs the routes of its subnet and those of nobody's") {
  const std::vector<Source> all = {{.address = prefix("10.1.0.2/24")},
                                   {.address = prefix("10.2.0.2/24")}};
  using Needed = std::pair<bool, bool>;
  const auto needed_by = [&](const netlink::Route& route) {
    return Needed{needs_route(all[0], all, route), needs_route(all[1], all, route)};
  };
  netlink::Route route{.destination = prefix("192.0.2.0/24"), .scope = {}};
  CHECK(needed_by(route) == Needed{true, true});
  route.gateway = ip("10.2.0.1");
  CHECK(needed_by(route) == Needed{false, true});
  route.source = ip("10.1.0.2");
  CHECK(needed_by(route) == Needed{true, true});
  route.gateway.reset();
  CHECK(needed_by(route) == Needed{true, false});
  route.source.reset();
  route.gateway = ip("169.254.1.1");
  CHECK(needed_by(route) == Needed{true, true});
}

TEST_CASE("with a configured gateway no default route by another is needed") {
  const std::vector<Source> all = {{.address = prefix("10.1.0.2/24"),
                                    .gateway = ip("10.1.0.9"),
                                    .has_configured_gateway = true}};
  const auto is_needed = [&](const char* destination, const char* gateway) {
    return needs_route(all[0], all,
                       {.destination = prefix(destination), .gateway = ip(gateway), .scope = {}});
  };
  CHECK_FALSE(is_needed("0.0.0.0/0", "10.1.0.1"));
  CHECK(is_needed("0.0.0.0/0", "10.1.0.9"));
  CHECK(is_needed("192.0.2.0/24", "10.1.0.1"));
}

TEST_CASE("with a known gateway no default route by one outside the subnet is needed") {
  const std::vector<Source> all = {{.address = prefix("fd00::2/64"), .gateway = ip("fd00::1")}};
  netlink::Route route{.destination = prefix("::/0"), .gateway = ip("fe80::1"), .scope = {}};
  CHECK_FALSE(needs_route(all[0], all, route));
  route.gateway = ip("fd00::9");
  CHECK(needs_route(all[0], all, route));
  route.gateway.reset();
  CHECK(needs_route(all[0], all, route));
}
