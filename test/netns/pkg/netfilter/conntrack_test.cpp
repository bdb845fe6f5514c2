// Forgetting UDP flows: which go, and which stay.
#include "pkg/netfilter/conntrack.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <chrono>
#include <fstream>
#include <iterator>

#include "pkg/netlink/socket.hpp"
#include "pkg/os/fd.hpp"
#include "test/netns/pkg/netfilter/masquerade_fixture.hpp"
#include "test/support/named_server.hpp"
#include "test/support/skip.hpp"

using namespace cni;
using namespace cni::netfilter;
using namespace cni::test;

namespace {

constexpr std::uint16_t kHostPort = 5353;
constexpr std::uint16_t kContainerPort = 53;

// The kernel's own list of flows that this namespace tracks. Skips the case where it has none.
std::vector<std::string> tracked(const std::string& text) {
  std::ifstream in("/proc/net/nf_conntrack");
  if (!in) skip("/proc/net/nf_conntrack is not there (CONFIG_NF_CONNTRACK_PROCFS)");
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) {
    if (line.find(text) != std::string::npos) out.push_back(line);
  }
  return out;
}

void forget(std::vector<UdpDestination> destinations) {
  netlink::Socket socket = netlink::Socket::open(netlink::Protocol::kNetfilter);
  forget_udp_connections(socket, destinations);
}

UdpDestination to_port(Family family, std::uint16_t port = kHostPort) {
  return {family, port, std::nullopt};
}

UdpDestination to_address(const std::string& address, std::uint16_t port = kHostPort) {
  const Ip ip = Ip::parse(address).value();
  return {ip.family(), port, ip};
}

// A node that sends the host port to a container, by rules written by hand, and tracks everything.
class PublishingNode : public MasqueradeNode {
 public:
  PublishingNode()
      : server1(c1, "c1", {.ports = {kContainerPort}, .addresses = {}}),
        server2(c2, "c2", {.ports = {kContainerPort}, .addresses = {}}) {
    // What is neither published nor local is routed to the node and back.
    run_ok({"ip", "-n", "outside", "route", "add", "10.22.0.0/16", "via", "192.0.2.1"});
    run_ok({"ip", "-n", "outside", "route", "add", "fd00:22::/64", "via", "2001:db8::1"});
    run_ok({"ip", "address", "add", "192.0.2.101/24", "dev", "vo"});
    run_ok({"ip", "address", "add", "2001:db8::101/64", "dev", "vo", "nodad"});
    publish("2");
  }

  // From now on new flows go to the container with this last part of its address.
  static void publish(const std::string& last) {
    const std::string rules =
        cat("table inet published\ndelete table inet published\ntable inet published {\n"
            "chain prerouting { type nat hook prerouting priority -100;\n",
            "fib daddr type local meta l4proto { tcp, udp } th dport { ", kHostPort, ", ",
            kHostPort + 1, " } dnat ip to 10.22.0.", last, ":", kContainerPort, "\n",
            "fib daddr type local meta l4proto { tcp, udp } th dport { ", kHostPort, ", ",
            kHostPort + 1, " } dnat ip6 to [fd00:22::", last, "]:", kContainerPort, "\n}\n}\n");
    run_ok({"nft", "-f", "-"}, rules);
  }

  // Always over the same flow: one client that keeps sending.
  std::string ask_again(const std::string& address, std::uint16_t port = kHostPort,
                        std::uint16_t source_port = 40000) const {
    return ask(outside, {.address = address, .port = port, .source_port = source_port});
  }

 private:
  NamedServer server1;
  NamedServer server2;
};

struct Addresses {
  const char* host;
  const char* other_host;  // a second address of the host
  const char* container;
  const char* client;
};

Addresses addresses_of_family(Family family) {
  return family == Family::kIpv4
             ? Addresses{"192.0.2.1", "192.0.2.101", "10.22.0.3", "192.0.2.2"}
             : Addresses{"2001:db8::1", "2001:db8::101", "fd00:22::3", "2001:db8::2"};
}

}  // namespace

TEST_CASE("a client that keeps sending reaches the new container once its flow is forgotten",
          "[netns]") {
  require_program("nft");
  const Family family = GENERATE(Family::kIpv4, Family::kIpv6);
  const Addresses at = addresses_of_family(family);
  PublishingNode node;
  const std::string from_c1 = cat("c1 sees ", at.client);
  const std::string from_c2 = cat("c2 sees ", at.client);
  REQUIRE(node.ask_again(at.host) == from_c1);
  PublishingNode::publish("3");
  REQUIRE(node.ask_again(at.host) == from_c1);  // the flow goes on to where it went
  forget({to_port(family, kContainerPort)});    // what is asked for is the port before NAT
  CHECK(node.ask_again(at.host) == from_c1);

  SECTION("by its port") { forget({to_port(family)}); }
  SECTION("by its port and address") { forget({to_address(at.host)}); }
  SECTION("as one of many") {
    std::vector<UdpDestination> all;
    for (std::uint16_t port = 5000; port < 6000; ++port) all.push_back(to_port(family, port));
    forget(all);
  }
  CHECK(node.ask_again(at.host) == from_c2);
}

TEST_CASE("flows to other ports and addresses and over TCP are not forgotten", "[netns]") {
  require_program("nft");
  const Family family = GENERATE(Family::kIpv4, Family::kIpv6);
  const Addresses at = addresses_of_family(family);
  PublishingNode node;
  (void)tracked("");
  const auto is_tracked = [](const std::string& text) { return tracked(text).size() == 1; };
  REQUIRE(node.ask_again(at.host, kHostPort, 40001) != "");
  REQUIRE(node.ask_again(at.host, kHostPort + 1, 40002) != "");
  REQUIRE(node.ask_again(at.other_host, kHostPort, 40003) != "");
  REQUIRE(ask(node.outside, {.transport = IPPROTO_TCP,
                             .address = at.host,
                             .port = kHostPort,
                             .source_port = 40004}) != "");
  // To a container itself, on the port that is published of the host.
  const NamedServer elsewhere(node.c2, "elsewhere", {.ports = {kHostPort}, .addresses = {}});
  REQUIRE(node.ask_again(at.container, kHostPort, 40005) != "");
  for (const char* port : {"40001", "40002", "40003", "40004", "40005"}) {
    REQUIRE(is_tracked(cat("sport=", port, " dport=")));
  }

  SECTION("with an address") {
    forget({to_address(at.host)});
    CHECK(is_tracked("sport=40003 "));
  }
  SECTION("without an address") {
    forget({to_port(family)});
    CHECK(tracked("sport=40003 ").empty());
  }
  SECTION("as one of many") {
    std::vector<UdpDestination> all;
    for (std::uint16_t port = 5000; port <= kHostPort; ++port)
      all.push_back(to_address(at.host, port));
    forget(all);
    CHECK(is_tracked("sport=40003 "));
  }
  CHECK(tracked("sport=40001 ").empty());
  CHECK(is_tracked("sport=40002 "));
  CHECK(is_tracked("sport=40004 "));
  CHECK(is_tracked("sport=40005 "));
}

TEST_CASE("a destination of one family leaves the flows of the other alone", "[netns]") {
  require_program("nft");
  PublishingNode node;
  (void)tracked("");
  REQUIRE(node.ask_again("192.0.2.1") != "");
  REQUIRE(node.ask_again("2001:db8::1") != "");
  const std::string flow = cat("sport=40000 dport=", kHostPort, ' ');
  REQUIRE(tracked(flow).size() == 2);
  forget({to_port(Family::kIpv4)});
  REQUIRE(tracked(flow).size() == 1);
  CHECK(tracked(flow)[0].starts_with("ipv6"));
  forget({to_port(Family::kIpv4), to_port(Family::kIpv6)});
  CHECK(tracked(flow).empty());
}

TEST_CASE("flows in zones of connection tracking are forgotten too", "[netns]") {
  require_program("nft");
  PublishingNode node;
  (void)tracked("");
  const std::string zone = GENERATE("ct zone set 7", "ct original zone set 7");
  CAPTURE(zone);
  run_ok({"nft", "-f", "-"}, cat("table inet zones { chain prerouting { type filter hook "
                                 "prerouting priority -300; iifname \"vo\" ",
                                 zone, "; }; }"));
  (void)node.ask_again("192.0.2.1");
  const std::string flow = cat("sport=40000 dport=", kHostPort, ' ');
  REQUIRE(tracked(flow).size() == 1);
  forget({to_port(Family::kIpv4)});
  CHECK(tracked(flow).empty());
}

TEST_CASE("without flows or connection tracking there is nothing to forget", "[netns]") {
  Namespaces spaces;
  forget({});
  forget({to_port(Family::kIpv4), to_port(Family::kIpv6)});
}

TEST_CASE("one flow among 10000 is found without reading them all", "[netns]") {
  require_program("nft");
  PublishingNode node;
  (void)tracked("");
  node.outside.run([] {
    sockaddr_in host{};
    host.sin_family = AF_INET;
    host.sin_addr.s_addr = ::inet_addr("192.0.2.1");
    const os::Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    for (std::uint16_t port = 10000; port < 20000; ++port) {
      host.sin_port = htons(port);
      (void)::sendto(fd.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&host), sizeof host);
    }
  });
  REQUIRE(node.ask_again("192.0.2.1") != "");
  const std::size_t before = tracked("udp ").size();
  REQUIRE(before > 5000);
  const auto start = std::chrono::steady_clock::now();
  forget({to_port(Family::kIpv4)});
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  WARN("forgetting one flow among " << before << " took " << took.count() << " ms");
  CHECK(tracked("udp ").size() == before - 1);
}
