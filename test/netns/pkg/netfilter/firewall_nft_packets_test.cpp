// What the nftables firewall does to packets.
#include "test/netns/pkg/netfilter/firewall_fixture.hpp"

using namespace cni;
using namespace cni::netfilter;
using namespace cni::test;

namespace {

constexpr std::uint16_t kPort = 80;

Answer tcp(const ns::Netns& from, const ns::Netns& to, const std::string& address,
           std::uint16_t port = kPort) {
  return connect_tcp(from, to, address, port);
}

}  // namespace

TEST_CASE("containers without a policy reach each other and the outside", "[netns][nft]") {
  require_program("nft");
  FirewallNode node;
  for (const std::string container : {"a1", "a2", "b1"}) add_nft(firewall_spec(container));
  for (const std::string address : {"10.2.0.2", "fd00:2::2"}) {
    CHECK(tcp(node.a1, node.b1, address) == Answer::kArrived);
  }
  CHECK(tcp(node.a1, node.a2, "10.1.0.3") == Answer::kArrived);
  CHECK(tcp(node.a1, node.outside, "192.0.2.2") == Answer::kArrived);
  CHECK(tcp(node.a1, node.outside, "2001:db8::2") == Answer::kArrived);
  CHECK(tcp(node.outside, node.a1, "10.1.0.2") == Answer::kArrived);
}

TEST_CASE("with a forward chain that drops the rest containers pass and their answers too",
          "[netns][nft]") {
  require_program("nft");
  FirewallNode node;
  add_nft(firewall_spec("a1"));
  run_ok({"nft", "chain inet cni_firewall forward { policy drop; }"});
  CHECK(tcp(node.a1, node.outside, "192.0.2.2") == Answer::kArrived);
  CHECK(tcp(node.a1, node.outside, "2001:db8::2") == Answer::kArrived);
  CHECK(tcp(node.outside, node.a1, "10.1.0.2") == Answer::kNone);
  CHECK(tcp(node.b1, node.outside, "192.0.2.2") == Answer::kNone);
  // The policy is the operator's: neither ADD nor DEL takes it back.
  add_nft(firewall_spec("b1"));
  remove_nft(firewall_spec("a1"));
  CHECK(tcp(node.b1, node.outside, "192.0.2.2") == Answer::kArrived);
  CHECK(tcp(node.a1, node.outside, "192.0.2.2") == Answer::kNone);
}

TEST_CASE("same-bridge keeps bridges apart but not the containers of one", "[netns][nft]") {
  require_program("nft");
  const std::string a1_address = GENERATE("10.1.0.2", "fd00:1::2");
  const bool is_ipv4 = a1_address.find('.') != std::string::npos;
  const std::string a2_address = is_ipv4 ? "10.1.0.3" : "fd00:1::3";
  const std::string b1_address = is_ipv4 ? "10.2.0.2" : "fd00:2::2";
  CAPTURE(a1_address);
  FirewallNode node;
  const bool is_shown = GENERATE(false, true);
  if (is_shown && !FirewallNode::show_bridged_frames_to_ip(true)) return;
  add_nft(firewall_spec("a1", IngressPolicy::kSameBridge));
  add_nft(firewall_spec("a2", IngressPolicy::kSameBridge));
  // A bridge without a policy is not protected.
  add_nft(firewall_spec("b1"));
  CHECK(tcp(node.a1, node.b1, b1_address) == Answer::kArrived);
  CHECK(tcp(node.b1, node.a1, a1_address) == Answer::kArrived);

  remove_nft(firewall_spec("b1"));
  add_nft(firewall_spec("b1", IngressPolicy::kSameBridge));
  CHECK(tcp(node.a1, node.b1, b1_address) == Answer::kNone);
  CHECK(tcp(node.b1, node.a1, a1_address) == Answer::kNone);
  CHECK(tcp(node.a1, node.a2, a2_address) == Answer::kArrived);
  CHECK(tcp(node.a1, node.outside, is_ipv4 ? "192.0.2.2" : "2001:db8::2") == Answer::kArrived);
  CHECK(tcp(node.outside, node.a1, a1_address) == Answer::kArrived);
  // The gateway's other address is the host itself, not a container of the other bridge.
  CHECK(tcp(node.a1, node.host(), is_ipv4 ? "10.2.0.1" : "fd00:2::1") == Answer::kArrived);

  // With the last attachment that needs it the policy goes.
  remove_nft(firewall_spec("a1"));
  CHECK(tcp(node.a1, node.b1, b1_address) == Answer::kNone);
  remove_nft(only_owner(firewall_spec("a2")));
  CHECK(tcp(node.a1, node.b1, b1_address) == Answer::kArrived);
}

TEST_CASE("isolated keeps the containers of a bridge apart and lets them reach their gateway",
          "[netns][nft]") {
  require_program("nft");
  const bool is_ipv4 = GENERATE(true, false);
  const bool is_shown = GENERATE(false, true);
  CAPTURE(is_ipv4, is_shown);
  const std::string a1_address = is_ipv4 ? "10.1.0.2" : "fd00:1::2";
  const std::string a2_address = is_ipv4 ? "10.1.0.3" : "fd00:1::3";
  FirewallNode node;
  if (is_shown && !FirewallNode::show_bridged_frames_to_ip(true)) return;
  REQUIRE(tcp(node.a1, node.a2, a2_address) == Answer::kArrived);
  add_nft(firewall_spec("a1", IngressPolicy::kIsolated));
  add_nft(firewall_spec("a2", IngressPolicy::kIsolated));
  add_nft(firewall_spec("b1", IngressPolicy::kSameBridge));
  CHECK(tcp(node.a1, node.a2, a2_address) == Answer::kNone);
  CHECK(send_udp(node.a2, node.a1, a1_address, kPort) == Answer::kNone);
  CHECK(tcp(node.a1, node.b1, is_ipv4 ? "10.2.0.2" : "fd00:2::2") == Answer::kNone);
  CHECK(tcp(node.b1, node.a1, a1_address) == Answer::kNone);
  // Neighbours are found anew: isolation does not keep them from the gateway.
  run_ok({"ip", "-n", "a1", "neighbour", "flush", "all"});
  run_ok({"ip", "neighbour", "flush", "all"});
  CHECK(tcp(node.a1, node.host(), is_ipv4 ? "10.1.0.1" : "fd00:1::1") == Answer::kArrived);
  CHECK(tcp(node.a1, node.outside, is_ipv4 ? "192.0.2.2" : "2001:db8::2") == Answer::kArrived);
  CHECK(tcp(node.outside, node.a1, a1_address) == Answer::kArrived);

  remove_nft(only_owner(firewall_spec("a2")));
  remove_nft(firewall_spec("a1"));
  CHECK(tcp(node.a1, node.a2, a2_address) == Answer::kArrived);
}

TEST_CASE("isolated containers do not meet by way of the gateway either", "[netns][nft]") {
  require_program("nft");
  FirewallNode node;
  // Each is its neighbour's neighbour only through the router, as with a prefix of 32 bits.
  for (const std::string name : {"a1", "a2"}) {
    run_ok({"ip", "-n", name, "route", "add", "10.1.0.2/31", "via", "10.1.0.1"});
  }
  run_ok({"sysctl", "-q", "-w", "net.ipv4.conf.cni-a.send_redirects=0",
          "net.ipv4.conf.all.send_redirects=0"});
  add_nft(firewall_spec("a1", IngressPolicy::kSameBridge));
  REQUIRE(tcp(node.a1, node.a2, "10.1.0.3") == Answer::kArrived);
  add_nft(firewall_spec("a2", IngressPolicy::kIsolated));
  CHECK(tcp(node.a1, node.a2, "10.1.0.3") == Answer::kNone);
  remove_nft(firewall_spec("a2"));
  CHECK(tcp(node.a1, node.a2, "10.1.0.3") == Answer::kArrived);
}

TEST_CASE("the operator's rules come first and stay", "[netns][nft]") {
  require_program("nft");
  FirewallNode node;
  add_nft(firewall_spec("a1", IngressPolicy::kSameBridge));
  add_nft(firewall_spec("b1", IngressPolicy::kSameBridge));
  REQUIRE(tcp(node.a1, node.b1, "10.2.0.2") == Answer::kNone);
  run_ok({"nft", "add rule inet cni_firewall admin tcp dport 80 accept"});
  run_ok({"nft", "add rule inet cni_firewall admin ip saddr 10.2.0.2 accept"});
  run_ok({"nft", "add rule inet cni_firewall admin tcp dport 81 drop"});
  CHECK(tcp(node.a1, node.b1, "10.2.0.2") == Answer::kArrived);
  CHECK(tcp(node.a1, node.outside, "192.0.2.2", 81) == Answer::kNone);
  const std::string admin = run_ok({"nft", "list", "chain", "inet", "cni_firewall", "admin"});
  add_nft(firewall_spec("a2"));
  run_ok({"nft", "flush", "chain", "inet", "cni_firewall", "forward"});
  add_nft(firewall_spec("a1", IngressPolicy::kSameBridge));
  for (const std::string container : {"a1", "a2", "b1"}) remove_nft(firewall_spec(container));
  CHECK(run_ok({"nft", "list", "chain", "inet", "cni_firewall", "admin"}) == admin);
  CHECK(tcp(node.a1, node.outside, "192.0.2.2", 81) == Answer::kNone);
}
