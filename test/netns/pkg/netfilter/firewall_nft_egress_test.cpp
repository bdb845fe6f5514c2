// What egress rules do to packets.
#include "test/netns/pkg/netfilter/firewall_fixture.hpp"

using namespace cni;
using namespace cni::netfilter;
using namespace cni::test;

namespace {

// Of a network whose containers may not send to these, save to those.
FirewallSpec egress_spec(const std::string& container, std::vector<EgressRule> deny,
                         std::vector<EgressRule> allow = {}) {
  FirewallSpec out = firewall_spec(container);
  out.egress_deny = std::move(deny);
  out.egress_allow = std::move(allow);
  return out;
}

}  // namespace

TEST_CASE("what is denied is rejected at once whatever the protocol", "[netns][nft]") {
  require_program("nft");
  FirewallNode node;
  add_nft(egress_spec("a1", {egress_rule("192.0.2.0/24"), egress_rule("2001:db8::/32")}));
  for (const std::string address : {"192.0.2.2", "2001:db8::2"}) {
    CAPTURE(address);
    CHECK(connect_tcp(node.a1, node.outside, address, 80) == Answer::kRejected);
    CHECK(send_udp(node.a1, node.outside, address, 53) == Answer::kRejected);
    CHECK(ping("a1", address) == Answer::kRejected);
    // Other containers of the network, and of other networks, have not been added with rules.
    CHECK(connect_tcp(node.a2, node.outside, address, 80) == Answer::kArrived);
    CHECK(connect_tcp(node.b1, node.outside, address, 80) == Answer::kArrived);
  }
  CHECK(ping("a1", "10.2.0.2") == Answer::kArrived);
  CHECK(connect_tcp(node.a1, node.b1, "fd00:2::2", 80) == Answer::kArrived);
  // Who connects to the container gets its answers.
  CHECK(connect_tcp(node.outside, node.a1, "10.1.0.2", 80) == Answer::kArrived);
  CHECK(ping("outside", "fd00:1::2") == Answer::kArrived);

  remove_nft(firewall_spec("a1"));
  CHECK(ping("a1", "192.0.2.2") == Answer::kArrived);
}

TEST_CASE("a denied port or protocol leaves the others alone", "[netns][nft]") {
  require_program("nft");
  FirewallNode node;
  const bool is_ipv4 = GENERATE(true, false);
  const std::string network = is_ipv4 ? "192.0.2.0/24" : "2001:db8::/64";
  const std::string address = is_ipv4 ? "192.0.2.2" : "2001:db8::2";
  CAPTURE(address);
  add_nft(egress_spec("a1", {egress_rule(network, Transport::kTcp, 80, 90),
                             egress_rule(network, Transport::kUdp)}));
  for (const unsigned port : {80U, 85U, 90U}) {
    CHECK(connect_tcp(node.a1, node.outside, address, static_cast<std::uint16_t>(port)) ==
          Answer::kRejected);
  }
  for (const unsigned port : {79U, 91U}) {
    CHECK(connect_tcp(node.a1, node.outside, address, static_cast<std::uint16_t>(port)) ==
          Answer::kArrived);
  }
  CHECK(send_udp(node.a1, node.outside, address, 79) == Answer::kRejected);
  CHECK(ping("a1", address) == Answer::kArrived);
}

TEST_CASE("what is allowed passes although it is denied too", "[netns][nft]") {
  require_program("nft");
  FirewallNode node;
  // Rules that overlap: a wide one, one within it, and ports of both.
  add_nft(
      egress_spec("a1",
                  {egress_rule("0.0.0.0/0"), egress_rule("192.0.2.0/24"), egress_rule("::/0"),
                   egress_rule("192.0.2.0/24", Transport::kTcp, 1, 90),
                   egress_rule("192.0.2.2/32", Transport::kTcp, 80, 100)},
                  {egress_rule("192.0.2.2/32", Transport::kTcp, 443),
                   egress_rule("192.0.2.0/24", Transport::kTcp, 400, 450),
                   egress_rule("192.0.2.0/24", std::nullopt, 53), egress_rule("2001:db8::2/128")}));
  CHECK(connect_tcp(node.a1, node.outside, "192.0.2.2", 443) == Answer::kArrived);
  CHECK(connect_tcp(node.a1, node.outside, "192.0.2.2", 400) == Answer::kArrived);
  CHECK(connect_tcp(node.a1, node.outside, "192.0.2.2", 451) == Answer::kRejected);
  CHECK(connect_tcp(node.a1, node.outside, "192.0.2.2", 53) == Answer::kArrived);
  CHECK(send_udp(node.a1, node.outside, "192.0.2.2", 53) == Answer::kArrived);
  CHECK(send_udp(node.a1, node.outside, "192.0.2.2", 54) == Answer::kRejected);
  CHECK(ping("a1", "192.0.2.2") == Answer::kRejected);
  CHECK(ping("a1", "2001:db8::2") == Answer::kArrived);
  CHECK(ping("a1", "fd00:2::2") == Answer::kRejected);
}

TEST_CASE("denied networks include the host's own addresses in them", "[netns][nft]") {
  require_program("nft");
  FirewallNode node;
  add_nft(egress_spec("a1", {egress_rule("10.0.0.0/8"), egress_rule("fd00::/16")}));
  CHECK(connect_tcp(node.a1, node.host(), "10.1.0.1", 80) == Answer::kRejected);
  CHECK(connect_tcp(node.a1, node.host(), "fd00:2::1", 80) == Answer::kRejected);
  CHECK(send_udp(node.a1, node.host(), "10.2.0.1", 53) == Answer::kRejected);
  CHECK(connect_tcp(node.a1, node.host(), "192.0.2.1", 80) == Answer::kArrived);
  // The host reaches the container, and its answers come back.
  CHECK(connect_tcp(node.host(), node.a1, "10.1.0.2", 80) == Answer::kArrived);
  CHECK(connect_tcp(node.host(), node.a1, "fd00:1::2", 80) == Answer::kArrived);
}

TEST_CASE("neighbours are found although everything is denied", "[netns][nft]") {
  require_program("nft");
  FirewallNode node;
  add_nft(egress_spec("a1", {egress_rule("0.0.0.0/0"), egress_rule("::/0")},
                      {egress_rule("192.0.2.2/32"), egress_rule("2001:db8::2/128")}));
  for (const std::string address : {"192.0.2.2", "2001:db8::2"}) {
    run_ok({"ip", "-n", "a1", "neighbour", "flush", "all"});
    run_ok({"ip", "neighbour", "flush", "all"});
    CHECK(ping("a1", address) == Answer::kArrived);
  }
  CHECK(connect_tcp(node.a1, node.host(), "fd00:1::1", 80) == Answer::kRejected);
}

TEST_CASE("an ADD with other rules replaces those of the network", "[netns][nft]") {
  require_program("nft");
  FirewallNode node;
  add_nft(egress_spec("a1", {egress_rule("192.0.2.0/24", Transport::kUdp, 53)}));
  REQUIRE(send_udp(node.a1, node.outside, "192.0.2.2", 53, 5000) == Answer::kRejected);
  REQUIRE(send_udp(node.a1, node.outside, "192.0.2.2", 54, 5001) == Answer::kArrived);
  REQUIRE(connect_tcp(node.a1, node.outside, "2001:db8::2", 80) == Answer::kArrived);

  const FirewallSpec second =
      egress_spec("a2", {egress_rule("192.0.2.0/24", Transport::kUdp, 54), egress_rule("::/0")});
  add_nft(second);
  for (const ns::Netns* container : {&node.a1, &node.a2}) {
    CHECK(send_udp(*container, node.outside, "192.0.2.2", 53) == Answer::kArrived);
    // Holds for connections that are open already, too: this one is.
    CHECK(send_udp(*container, node.outside, "192.0.2.2", 54, 5001) == Answer::kRejected);
    CHECK(connect_tcp(*container, node.outside, "2001:db8::2", 80) == Answer::kRejected);
  }
  CHECK(nft_check_failure(second).empty());

  // Without any rules nothing is denied any more.
  add_nft(egress_spec("a2", {}));
  CHECK(send_udp(node.a1, node.outside, "192.0.2.2", 54) == Answer::kArrived);
  CHECK(connect_tcp(node.a2, node.outside, "2001:db8::2", 80) == Answer::kArrived);
}

TEST_CASE("an address of another network's former container is free of its rules", "[netns][nft]") {
  require_program("nft");
  FirewallNode node;
  add_nft(egress_spec("a1", {egress_rule("192.0.2.0/24")}));
  FirewallSpec successor = firewall_spec("a1");
  successor.owner = {"other", "newcomer", "eth0"};
  add_nft(successor);
  CHECK(ping("a1", "192.0.2.2") == Answer::kArrived);
  // The former one's late DEL takes nothing from it.
  remove_nft(firewall_spec("a1"));
  CHECK(nft_check_failure(successor).empty());
}
