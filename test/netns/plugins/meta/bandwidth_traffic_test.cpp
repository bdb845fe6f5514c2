// Real traffic: what gets through is what bandwidth lets through, from the first second on.
#include <algorithm>

#include "test/netns/plugins/meta/bandwidth_node.hpp"
#include "test/support/transfer.hpp"

using namespace cni::test;
using Kind = Transfer::Kind;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kRate = 16 * kMbit;
constexpr auto kWindow = 1000ms;
// A loaded machine may keep a sender or receiver waiting; the kernel never lets more through.
constexpr int kAttempts = 10;

// The part of a frame that a receiver sees.
double payload_share(Kind kind, bool is_ipv6) {
  constexpr double kEthernet = 14;
  const double ip = is_ipv6 ? 40 : 20;
  if (kind == Kind::kUdp) return 1400 / (1400 + 8 + ip + kEthernet);
  const double segment = 1500 - ip - 32;
  return segment / (1500 + kEthernet);
}

struct Way {
  bool is_ingress;  // from the host to the container
  bool is_ipv6;
  Kind kind;
};

// Runs transfers until one keeps to the rate within a tenth; none may exceed it.
void check_rate(BandwidthNode& node, const Way& way, std::uint64_t rate,
                const std::string& container = "c1", const std::string& peer = {}) {
  const auto inside = cni::ns::Netns::open("/run/netns/" + container);
  const auto outside =
      peer.empty() ? cni::ns::Netns::current() : cni::ns::Netns::open("/run/netns/" + peer);
  const std::string host = way.is_ingress ? "2" : "1";
  const std::string address = way.is_ipv6 ? "fd00:70:0::" + host : "10.70.0." + host;
  const double expected = static_cast<double>(rate) / 8 * payload_share(way.kind, way.is_ipv6);
  double best = 0;
  for (int attempt = 0; attempt < kAttempts && best < 0.9 * expected; ++attempt) {
    Transfer transfer(way.kind, way.is_ingress ? outside : inside,
                      way.is_ingress ? inside : outside, address, 2 * rate);
    const auto got = static_cast<double>(transfer.received_in(kWindow));
    CAPTURE(attempt, got, expected);
    CHECK(got <= 1.1 * expected);
    best = std::max(best, got);
  }
  CAPTURE(way.is_ingress, way.is_ipv6, way.kind == Kind::kTcp, expected);
  CHECK(best >= 0.9 * expected);
  (void)node;
}

void check_all_ways(BandwidthNode& node, Kind kind, std::uint64_t rate) {
  for (const bool is_ingress : {true, false}) {
    for (const bool is_ipv6 : {false, true}) check_rate(node, {is_ingress, is_ipv6, kind}, rate);
  }
}

json limits(std::uint64_t rate) { return {{"ingressRate", rate}, {"egressRate", rate}}; }

}  // namespace

TEST_CASE("TCP keeps to the rate from the first second on", "[netns][kind:ifb]") {
  BandwidthNode node;
  (void)node.add(node.config(limits(kRate)));
  check_all_ways(node, Kind::kTcp, kRate);
}

TEST_CASE("datagrams keep to the rate from the first second on", "[netns][kind:ifb]") {
  BandwidthNode node;
  (void)node.add(node.config(limits(kRate)));
  check_all_ways(node, Kind::kUdp, kRate);
}

TEST_CASE("the burst that kubelet asks for is no hole in the limit", "[netns][kind:ifb]") {
  BandwidthNode node;
  json config = limits(kRate);
  config.update({{"ingressBurst", 2147483647}, {"egressBurst", 2147483647}});
  (void)node.add(node.config(config));
  check_rate(node, {true, false, Kind::kTcp}, kRate);
  check_rate(node, {false, false, Kind::kTcp}, kRate);
}

TEST_CASE("htb keeps to the rate", "[netns][kind:ifb]") {
  BandwidthNode node;
  json config = limits(kRate);
  config["qdisc"] = "htb";
  (void)node.add(node.config(config));
  check_all_ways(node, Kind::kTcp, kRate);
}

TEST_CASE("each direction has its own rate", "[netns][kind:ifb]") {
  BandwidthNode node;
  (void)node.add(node.config({{"ingressRate", kRate}, {"egressRate", 2 * kRate}}));
  check_rate(node, {true, false, Kind::kTcp}, kRate);
  check_rate(node, {false, false, Kind::kTcp}, 2 * kRate);
}

TEST_CASE("networks that are left out are not limited and others are", "[netns][kind:ifb]") {
  BandwidthNode node;
  const bool is_excluded = GENERATE(true, false);
  json config = limits(kRate);
  // IPv6 is limited, IPv4 is not.
  config[is_excluded ? "unshapedSubnets" : "shapedSubnets"] = {is_excluded ? "10.70.0.0/24"
                                                                           : "fd00:70::/64"};
  (void)node.add(node.config(config));
  for (const bool is_ingress : {true, false}) {
    check_rate(node, {is_ingress, true, Kind::kTcp}, kRate);
    const auto inside = cni::ns::Netns::open("/run/netns/c1");
    const auto outside = cni::ns::Netns::current();
    Transfer transfer(Kind::kTcp, is_ingress ? outside : inside, is_ingress ? inside : outside,
                      is_ingress ? "10.70.0.2" : "10.70.0.1");
    CHECK(transfer.received_in(kWindow) > 2 * kRate / 8);
  }
}

TEST_CASE("what has no end on the host is limited in the container", "[netns][kind:ifb]") {
  const std::string kind = GENERATE("macvlan", "ipvlan", "veth");
  CAPTURE(kind);
  if (kind != "veth") require_kind(kind);
  BandwidthNode node;
  // The peer is behind a wire in a namespace of its own.
  node.spaces.container("peer");
  node.spaces.container("c2");
  if (kind == "veth") {
    (void)ip({"-n", "peer", "link", "add", "far0", "type", "veth", "peer", "name", "eth0", "netns",
              "c2"});
  } else {
    (void)ip({"link", "add", "master0", "type", "veth", "peer", "name", "far0", "netns", "peer"});
    (void)ip({"link", "set", "master0", "up"});
    const std::string mode = kind == "ipvlan" ? "l2" : "bridge";
    (void)ip({"link", "add", "link", "master0", "name", "eth0", "netns", "c2", "type", kind, "mode",
              mode});
  }
  (void)ip({"-n", "peer", "link", "set", "far0", "up"});
  (void)ip({"-n", "c2", "link", "set", "eth0", "up"});
  node.give_addresses("peer", "far0", 0, 1);
  node.give_addresses("c2", "eth0", 0, 2);

  json config = node.config(limits(kRate));
  config["prevResult"]["interfaces"] =
      json::array({{{"name", "eth0"}, {"sandbox", "/run/netns/c2"}}});
  config["prevResult"]["ips"][0]["interface"] = 0;
  const json result = node.add(config, "c2");
  CHECK(result.at("interfaces").back().at("sandbox") == "/run/netns/c2");
  CHECK(ifb_names().empty());
  CHECK(ifb_names("c2").size() == 1);
  node.check(config, result, "c2");
  for (const bool is_ingress : {true, false}) {
    for (const Kind each : {Kind::kTcp, Kind::kUdp}) {
      check_rate(node, {is_ingress, false, each}, kRate, "c2", "peer");
    }
  }
  check_rate(node, {true, true, Kind::kTcp}, kRate, "c2", "peer");
  node.del(config, "c2");
  CHECK(ifb_names("c2").empty());
  CHECK(root_queue("c2", "eth0").is_null());
  CHECK_FALSE(has_ingress("c2", "eth0"));
}

TEST_CASE("what an ipvlan of mode l3s receives is not said to be limited", "[netns][kind:ipvlan]") {
  require_kind("ipvlan");
  BandwidthNode node;
  node.spaces.container("c2");
  (void)ip({"link", "add", "master0", "type", "veth", "peer", "name", "far0"});
  (void)ip({"link", "add", "link", "master0", "name", "eth0", "netns", "c2", "type", "ipvlan",
            "mode", "l3s"});
  json config = node.config(limits(kRate));
  check_error(node.run("ADD", config, "c2"), 7,
              "ingressRate: what an ipvlan of mode l3s receives cannot be limited");
  config.erase("ingressRate");
  (void)node.add(config, "c2");
}
