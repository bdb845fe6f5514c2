#include "plugins/ipam/dhcp/lease.hpp"

#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/json.hpp"

namespace cni::dhcp {
namespace {

using test::json;

Ip ip(const char* text) { return Ip::parse(text).value(); }
Prefix prefix(const char* text) { return Prefix::parse(text).value(); }

Lease4 lease4() {
  Lease4 lease;
  lease.address = prefix("10.1.0.7/24");
  lease.server = ip("10.1.0.2");
  lease.routers = {ip("10.1.0.1"), ip("10.1.0.3")};
  lease.routes = {{prefix("192.0.2.0/24"), ip("10.1.0.9")}, {prefix("198.51.100.0/24"), {}}};
  lease.nameservers = {ip("10.1.0.53")};
  lease.domain = "a.example";
  lease.search = {"b.example", "c.example"};
  lease.mtu = 1400;
  lease.timing = {Time(1000), Time(2000), Time(3000)};
  return lease;
}

Lease6 lease6() {
  Lease6 lease;
  lease.address = ip("fd00::7");
  lease.iaid = 0xfffffffe;
  lease.client_id = {0, 3, 0, 1, 2, 0xff};
  lease.server_id = {0, 1, 0xab};
  lease.nameservers = {ip("fd00::53")};
  lease.search = {"c.example", "d.example"};
  lease.preferred_until = Time(1500);
  lease.timing = {Time(1000), Time(2000), kNever};
  return lease;
}

LeaseRequest request() {
  LeaseRequest out;
  out.key = {.container_id = "c1", .network = "net", .ifname = "eth0"};
  out.netns = "/run/netns/c1";
  out.ipv6 = true;
  out.provide = {{12, {'p', 'o', 'd'}}, {60, {0, 0xff}}};
  out.request = {121, 3, 1};
  out.priority = 4'000'000'000U;
  return out;
}

Lease round_trip(const Lease& lease) {
  const json text = json::parse(to_json(lease).dump());
  return read_lease(Reader(text));
}

template <class Read>
Error failure(const json& document, Read read) {
  try {
    (void)read(Reader(document));
  } catch (const Error& error) {
    return error;
  }
  FAIL("accepted: " << document.dump());
  return {Code::kInternal, ""};
}

// Replaces one value and expects that reading it fails with this in the message.
void check_refused_lease(const char* pointer, const json& value, std::string_view text) {
  json document = to_json(Lease{lease4(), lease6()});
  document[json::json_pointer(pointer)] = value;
  const Error error = failure(document, [](const Reader& in) { return read_lease(in); });
  INFO(pointer << ": " << error.what());
  CHECK(error.code == Code::kDecodingFailure);
  CHECK(error.msg.find(text) != std::string::npos);
}

void check_refused_request(const char* pointer, const json& value, std::string_view text) {
  json document = to_json(request());
  document[json::json_pointer(pointer)] = value;
  const Error error = failure(document, [](const Reader& in) { return read_lease_request(in); });
  INFO(pointer << ": " << error.what());
  const bool as_promised =
      error.code == Code::kDecodingFailure || error.code == Code::kInvalidNetworkConfig;
  CHECK(as_promised);
  CHECK(std::string(error.what()).find(text) != std::string::npos);
}

TEST_CASE("a lease is read as it was written") {
  CHECK(round_trip({lease4(), lease6()}) == Lease{lease4(), lease6()});
  CHECK(round_trip({lease4(), std::nullopt}) == Lease{lease4(), std::nullopt});
  CHECK(round_trip({std::nullopt, lease6()}) == Lease{std::nullopt, lease6()});
  CHECK(round_trip({}) == Lease{});
}

TEST_CASE("an infinite lease stays infinite") {
  Lease4 lease = lease4();
  lease.timing = {};
  CHECK(round_trip({lease, {}}).ipv4->timing.expires_at == kNever);
}

TEST_CASE("a lease with anything wrong in it is refused") {
  check_refused_lease("/ipv4", 1, "ipv4");
  check_refused_lease("/ipv4/address", "10.1.0.7", "ipv4.address");
  check_refused_lease("/ipv4/address", "fd00::1/64", "fd00::1");
  check_refused_lease("/ipv4/address", nullptr, "address");
  check_refused_lease("/ipv4/server", "::1", "::1");
  check_refused_lease("/ipv4/routers", json::array({"x"}), "routers");
  check_refused_lease("/ipv4/routers", json::array({"fd00::1"}), "fd00::1");
  check_refused_lease("/ipv4/routes/0/destination", "10.0.0.0/33", "destination");
  check_refused_lease("/ipv4/routes/0/router", "fd00::1", "router");
  check_refused_lease("/ipv4/domain", "a b", "a b");
  check_refused_lease("/ipv4/search", json::array({"a\nnameserver 192.0.2.1"}), "search");
  check_refused_lease("/ipv4/mtu", 65536, "65536");
  check_refused_lease("/ipv4/timing", nullptr, "timing");
  check_refused_lease("/ipv4/timing/renewAt", -1, "renewAt");
  check_refused_lease("/ipv4/timing/expiresAt", 0x7fffffffffffffff, "expiresAt");
  check_refused_lease("/ipv6/address", "10.0.0.1", "10.0.0.1");
  check_refused_lease("/ipv6/iaid", 4294967296, "iaid");
  check_refused_lease("/ipv6/clientId", "0", "clientId");
  check_refused_lease("/ipv6/clientId", "0g", "0g");
  check_refused_lease("/ipv6/serverId", std::string(262, '0'), "131 octets");
}

TEST_CASE("what is no object is no lease and no request") {
  for (const json& document : {json(), json(1), json("x"), json::array()}) {
    CHECK_THROWS_AS(read_lease_request(Reader(document)), Error);
  }
  for (const json& document : {json(1), json("x"), json::array()}) {
    CHECK_THROWS_AS(read_lease(Reader(document)), Error);
  }
}

TEST_CASE("names that a server made up do not reach JSON or a result") {
  Lease4 lease = lease4();
  lease.domain = "a\nnameserver 192.0.2.66";
  lease.search = {"\xff\xfe", "good.example", "", "with space"};
  const Lease read = round_trip({lease, {}});
  CHECK(read.ipv4->domain.empty());
  CHECK(read.ipv4->search == std::vector<std::string>{"good.example"});
  const Result result = to_result({lease, {}}, 0);
  CHECK(result.dns.domain.empty());
  CHECK(result.dns.search == std::vector<std::string>{"good.example"});
}

TEST_CASE("a request is read as it was written") {
  const json text = json::parse(to_json(request()).dump());
  CHECK(read_lease_request(Reader(text)) == request());
}

TEST_CASE("a request with anything wrong in it is refused") {
  check_refused_request("/key", nullptr, "key");
  check_refused_request("/key/containerID", "../x", "containerID");
  check_refused_request("/key/network", "", "network");
  check_refused_request("/key/ifname", "a/b", "interface name");
  check_refused_request("/key/ifname", "sixteen-letters-", "interface name");
  check_refused_request("/netns", "run/netns/c1", "absolute");
  check_refused_request("/netns", std::string("/run\0/x", 7), "absolute");
  check_refused_request("/netns", "/" + std::string(5000, 'x'), "absolute");
  check_refused_request("/ipv4", 1, "ipv4");
  check_refused_request("/provide/0/code", 256, "256");
  check_refused_request("/provide/0/code", 0, "protocol");
  check_refused_request("/provide/0/code", 53, "protocol");
  check_refused_request("/provide/0/code", 60, "stands after");
  check_refused_request("/provide/0/value", std::string(512, 'a'), "256 octets");
  check_refused_request("/provide/0/value", "xx", "xx");
  check_refused_request("/request", "", "no option");
  check_refused_request("/request", "00", "0 cannot be asked for");
  check_refused_request("/request", "ff", "255 cannot be asked for");
  check_refused_request("/request", std::string(512, '1'), "256 octets");
  check_refused_request("/priority", -1, "priority");
}

TEST_CASE("a request for neither family is refused") {
  json document = to_json(request());
  document["ipv4"] = false;
  document["ipv6"] = false;
  CHECK_THROWS_AS(read_lease_request(Reader(document)), Error);
}

TEST_CASE("a key's text is cut where the client identifier ends") {
  LeaseKey key{.container_id = "c1", .network = "net", .ifname = "eth0"};
  CHECK(key.to_string() == "c1/net/eth0");
  key.container_id = std::string(300, 'x');
  CHECK(key.to_string() == std::string(254, 'x'));
}

TEST_CASE("the result has the address and the first router and the names") {
  Lease4 lease = lease4();
  lease.mtu = 0;
  const Result result = to_result({lease, {}}, 0);
  REQUIRE(result.ips.size() == 1);
  CHECK(result.ips[0].address == prefix("10.1.0.7/24"));
  CHECK(result.ips[0].gateway == ip("10.1.0.1"));
  CHECK_FALSE(result.ips[0].interface);
  CHECK(result.interfaces.empty());
  CHECK(result.dns == Dns{.nameservers = {"10.1.0.53"},
                          .domain = "a.example",
                          .search = {"b.example", "c.example"},
                          .options = {}});
}

TEST_CASE("the default route goes behind those of option 33") {
  const Result result = to_result({lease4(), {}}, 7);
  REQUIRE(result.routes.size() == 3);
  CHECK(result.routes[0].destination == prefix("192.0.2.0/24"));
  CHECK(result.routes[0].gateway == ip("10.1.0.9"));
  CHECK_FALSE(result.routes[0].scope);
  CHECK(result.routes[2].destination == prefix("0.0.0.0/0"));
  CHECK(result.routes[2].gateway == ip("10.1.0.1"));
  for (const Route& route : result.routes) {
    CHECK(route.priority == 7);
    CHECK(route.mtu == 1400);
  }
}

TEST_CASE("classless routes stand alone and one on the link has its scope") {
  Lease4 lease = lease4();
  lease.has_classless_routes = true;
  const Result result = to_result({lease, {}}, 0);
  REQUIRE(result.routes.size() == 2);
  CHECK(result.routes[1].destination == prefix("198.51.100.0/24"));
  CHECK(result.routes[1].gateway == ip("0.0.0.0"));
  CHECK(result.routes[1].scope == 253);
}

TEST_CASE("a classless route with router 0.0.0.0 is on the link") {
  Lease4 lease = lease4();
  lease.has_classless_routes = true;
  lease.routes = {{prefix("198.51.100.9/24"), ip("0.0.0.0")}};
  const Route route = to_result({lease, {}}, 0).routes.at(0);
  CHECK(route.scope == 253);
  CHECK(route.destination == prefix("198.51.100.0/24"));
}

TEST_CASE("a lease without routers gives neither gateway nor routes") {
  Lease4 lease = lease4();
  lease.routers.clear();
  lease.routes.clear();
  const Result result = to_result({lease, {}}, 0);
  CHECK_FALSE(result.ips.at(0).gateway);
  CHECK(result.routes.empty());
}

TEST_CASE("an IPv6 address is a host's and both families' names are there once") {
  const Result result = to_result({lease4(), lease6()}, 0);
  REQUIRE(result.ips.size() == 2);
  CHECK(result.ips[1].address == prefix("fd00::7/128"));
  CHECK_FALSE(result.ips[1].gateway);
  CHECK(result.dns.nameservers == std::vector<std::string>{"10.1.0.53", "fd00::53"});
  CHECK(result.dns.search == std::vector<std::string>{"b.example", "c.example", "d.example"});
}

}  // namespace
}  // namespace cni::dhcp
