// Who can reach 127.0.0.1 of the host once ports may be published there.
#include "pkg/netfilter/loopback_guard.hpp"

#include <string>
#include <thread>
#include <vector>

#include "pkg/netfilter/connection.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/named_server.hpp"
#include "test/support/netns_fixture.hpp"
#include "test/support/skip.hpp"
#include "test/support/udp_probe.hpp"

using namespace cni;
using namespace cni::netfilter;
using namespace cni::test;

namespace {

constexpr std::string_view kSearchPath = "/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::uint16_t kPort = 6443;

// The host is 10.1.0.1 to the neighbour, 10.1.0.2, over an interface with a dot in its name. The
// neighbour does what somebody with CAP_NET_ADMIN can do: it takes 127.0.0.1 for an address beyond
// the host.
class GuardedNode {
 public:
  GuardedNode() : neighbour(ns::Netns::open(spaces_.container("neighbour"))) {
    run_ok({"ip", "link", "add", "v1.5", "type", "veth", "peer", "name", "eth0", "netns",
            "neighbour"});
    run_ok({"ip", "address", "add", "10.1.0.1/24", "dev", "v1.5"});
    run_ok({"ip", "link", "set", "v1.5", "up"});
    run_ok({"ip", "-n", "neighbour", "address", "add", "10.1.0.2/24", "dev", "eth0"});
    run_ok({"ip", "-n", "neighbour", "link", "set", "eth0", "up"});
    run_ok({"ip", "-n", "neighbour", "route", "add", "127.0.0.1", "via", "10.1.0.1"});
    run_ok_in("neighbour", {"sysctl", "-q", "-w", "net.ipv4.conf.eth0.route_localnet=1",
                            "net.ipv4.conf.eth0.rp_filter=0", "net.ipv4.conf.all.rp_filter=0"});
    run_ok({"sysctl", "-q", "-w", "net.ipv4.conf.all.rp_filter=0"});
    set_route_localnet("v1/5", "0");
    // With a dot in the name sysctl wants it written so.
    run_ok({"sysctl", "-q", "-w", "net.ipv4.conf.v1/5.rp_filter=0"});
  }

  static void set_route_localnet(const std::string& link, const std::string& value) {
    run_ok({"sysctl", "-q", "-w", cat("net.ipv4.conf.", link, ".route_localnet=", value)});
  }

  const ns::Netns& host() const { return spaces_.host(); }
  Namespaces& spaces() { return spaces_; }

 private:
  Namespaces spaces_;

 public:
  ns::Netns neighbour;
};

void allow() { allow_loopback_source(*Ip::parse("10.1.0.2"), kSearchPath); }

// Empty if CHECK is content.
std::string check_failure() {
  try {
    check_loopback_source(*Ip::parse("10.1.0.2"), kSearchPath);
    return {};
  } catch (const Error& error) {
    CHECK(error.code == Code::kCheckFailed);
    return error.what();
  }
}

Question loopback(int transport, std::chrono::milliseconds patience = std::chrono::seconds(4)) {
  return {.transport = transport,
          .address = "127.0.0.1",
          .port = kPort,
          .source = {},
          .source_port = 0,
          .patience = patience};
}

// How many rules drop something there.
int count_drops() {
  const std::string rules =
      run_ok({"nft", "list", "chain", "ip", "cni_hostport", "loopback_guard"});
  int out = 0;
  for (std::size_t at = rules.find(" drop"); at != std::string::npos;
       at = rules.find(" drop", at + 1)) {
    ++out;
  }
  return out;
}

void require_nf_tables() {
  Connection connection;
  if (connection.find() == nullptr) skip("this kernel has no nf_tables");
  require_program("nft");
}

}  // namespace

TEST_CASE("a neighbour does not reach what listens on 127.0.0.1 of the host only", "[netns]") {
  const int transport = GENERATE(int{IPPROTO_UDP}, int{IPPROTO_TCP});
  GuardedNode node;
  const NamedServer server(node.host(), "host", {.ports = {kPort}, .addresses = {"127.0.0.1"}});
  // With the kernel's parameter alone it does.
  GuardedNode::set_route_localnet("v1/5", "1");
  REQUIRE(ask(node.neighbour, loopback(transport)) == "host sees 10.1.0.2");
  GuardedNode::set_route_localnet("v1/5", "0");
  REQUIRE(ask(node.neighbour, loopback(transport, kNoAnswerExpected)) == "");

  allow();
  CHECK(sysctl({}, "net/ipv4/conf/v1.5/route_localnet") == "1");
  CHECK(ask(node.neighbour, loopback(transport, kNoAnswerExpected)) == "");
  CHECK(ask(node.host(), loopback(transport)) == "host sees 127.0.0.1");
  CHECK(check_failure() == "");
}

TEST_CASE("packets that pretend to come from 127.0.0.0/8 do not arrive", "[netns]") {
  GuardedNode node;
  run_ok({"ip", "-n", "neighbour", "address", "add", "127.0.0.5/32", "dev", "eth0"});
  const UdpProbe probe{.source = "127.0.0.5", .destination = "10.1.0.1", .interface = {}};
  GuardedNode::set_route_localnet("v1/5", "1");
  REQUIRE(source_seen(node.neighbour, node.host(), probe) == "127.0.0.5");
  allow();
  CHECK_FALSE(source_seen(node.neighbour, node.host(), probe));
}

TEST_CASE("the guard is put up also where the parameter is set already", "[netns]") {
  GuardedNode node;
  const NamedServer server(node.host(), "host", {.ports = {kPort}, .addresses = {"127.0.0.1"}});
  GuardedNode::set_route_localnet("v1/5", "1");
  CHECK(check_failure().find("rules that drop 127.0.0.0/8 from outside are missing") !=
        std::string::npos);
  allow();
  CHECK(ask(node.neighbour, loopback(IPPROTO_UDP, kNoAnswerExpected)) == "");
}

TEST_CASE("packets from 127.0.0.1 are let out by the interface of the container only", "[netns]") {
  GuardedNode node;
  (void)node.spaces().container("c2");
  run_ok({"ip", "link", "add", "v2", "type", "veth", "peer", "name", "eth0", "netns", "c2"});
  GuardedNode::set_route_localnet("v2", "0");
  CHECK(check_failure().find("net.ipv4.conf.v1.5.route_localnet is not 1") != std::string::npos);
  allow();
  CHECK(sysctl({}, "net/ipv4/conf/v1.5/route_localnet") == "1");
  CHECK(sysctl({}, "net/ipv4/conf/v2/route_localnet") == "0");
  CHECK(sysctl({}, "net/ipv4/conf/all/route_localnet") == "0");
}

TEST_CASE("the guard's rules stand once however often and by how many they are made", "[netns]") {
  require_nf_tables();
  GuardedNode node;
  SECTION("one after the other") {
    allow();
    allow();
  }
  SECTION("at the same time") {
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) threads.emplace_back(allow);
    for (std::thread& thread : threads) thread.join();
  }
  CHECK(count_drops() == 2);
}

TEST_CASE("the guard is made again after its rules were flushed", "[netns]") {
  require_nf_tables();
  GuardedNode node;
  allow();
  const auto flush =
      GENERATE(std::vector<std::string>{"nft", "flush", "ruleset"},
               std::vector<std::string>{"nft", "flush", "table", "ip", "cni_hostport"});
  run_ok(flush);
  CHECK(check_failure() != "");
  allow();
  CHECK(count_drops() == 2);
  CHECK(check_failure() == "");
}

TEST_CASE("nothing is let out to a container that cannot be reached", "[netns]") {
  GuardedNode node;
  try {
    allow_loopback_source(*Ip::parse("10.77.0.2"), kSearchPath);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(std::string(error.what()).starts_with("unable to enable route_localnet: "));
    CHECK(std::string(error.what()).find("10.77.0.2") != std::string::npos);
  }
  CHECK_THROWS_AS(allow_loopback_source(*Ip::parse("fd00::2"), kSearchPath), Error);
  CHECK(sysctl({}, "net/ipv4/conf/v1.5/route_localnet") == "0");
}

TEST_CASE("what comes from ::1 reaches a container and nobody reaches ::1", "[netns][ipv6]") {
  require_nf_tables();
  GuardedNode node;
  run_ok({"sysctl", "-q", "-w", "net.ipv6.conf.all.forwarding=1"});
  run_ok({"ip", "address", "add", "fd00:1::1/64", "dev", "v1.5", "nodad"});
  run_ok({"ip", "-n", "neighbour", "address", "add", "fd00:1::2/64", "dev", "eth0", "nodad"});
  run_ok({"ip", "-n", "neighbour", "route", "add", "default", "via", "fd00:1::1"});
  run_ok({"nft", "-f", "-"}, R"(table ip6 published {
 chain output { type nat hook output priority -99; ip6 daddr ::1 tcp dport 8080 dnat to [fd00:1::2]:6443; }
 chain postrouting { type nat hook postrouting priority 100; ip6 saddr ::1 oifname "v1.5" masquerade; }
})");
  const NamedServer container(node.neighbour, "container", {.ports = {kPort}, .addresses = {}});
  Question question = loopback(IPPROTO_TCP, std::chrono::milliseconds(300));
  question.address = "::1";
  question.port = 8080;
  CHECK(ask(node.host(), question).empty());

  const Ip address = *Ip::parse("fd00:1::2");
  allow_loopback_source(address, kSearchPath);
  allow_loopback_source(address, kSearchPath);
  question.patience = std::chrono::seconds(4);
  CHECK(ask(node.host(), question) == "container sees fd00:1::1");
  CHECK(run_ok({"ip", "-6", "route", "show", "table", "local", "dev", "v1.5", "::1"}) ==
        "local ::1 metric 1048576 pref medium\n");
  check_loopback_source(address, kSearchPath);

  // The host's own use of ::1 stays as it was, and is the host's alone.
  const NamedServer own(node.host(), "host", {.ports = {kPort}, .addresses = {}});
  question.port = kPort;
  CHECK(ask(node.host(), question) == "host sees ::1");
  run_ok({"ip", "-n", "neighbour", "link", "set", "lo", "down"});
  run_ok({"ip", "-n", "neighbour", "route", "add", "::1", "via", "fd00:1::1"});
  question.patience = std::chrono::milliseconds(500);
  CHECK(ask(node.neighbour, question).empty());

  run_ok({"ip", "-6", "route", "del", "local", "::1", "dev", "v1.5", "table", "local"});
  CHECK_THROWS_AS(check_loopback_source(address, kSearchPath), Error);
}
