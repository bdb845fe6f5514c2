// Ports that the reference plugins and ours publish with iptables are the same, and each removes
// those of the other.
#include "test/netns/plugins/meta/portmap_iptables_node.hpp"

using namespace cni;
using namespace cni::test;

namespace {

std::vector<json> many_ports() {
  std::vector<json> out;
  for (const int port : {9003, 9001, 9017, 9002}) out.push_back(tcp_port(port, 80));
  for (int port = 9101; port <= 9116; ++port) out.push_back(tcp_port(port, port));
  out.push_back(port_on("udp", 9001, 53, ""));
  out.push_back(port_on("sctp", 9001, 99, ""));
  out.push_back(port_on("tcp", 9201, 81, "10.0.0.1"));
  out.push_back(port_on("udp", 9202, 82, "fd00::1"));
  out.push_back(port_on("tcp", 9203, 83, "0.0.0.0"));
  out.push_back(port_on("tcp", 9203, 84, "::"));
  out.push_back(port_on("tcp", 9204, 85, "127.0.0.1"));
  return out;
}

struct Case {
  const char* name;
  json config;
};

json ipv4_only() {
  json out = PortmapNode::prev_result("c1");
  out["ips"].erase(1);
  return out;
}

// The reference asks ip6tables whether a rule is there, and leaves out those that are. The older
// implementation of 1.8.9 says yes for a rule whose ports are others.
json for_kind(json config, IptablesKind kind) {
  if (kind == IptablesKind::kLegacy) config["prevResult"] = ipv4_only();
  return config;
}

std::vector<Case> cases() {
  const std::vector<json> one = {tcp_port(8080, 80)};
  return {
      {"one port", portmap_config(one)},
      {"many ports", portmap_config(many_ports())},
      {"IPv4 only", portmap_config(one, {{"prevResult", ipv4_only()}})},
      {"no snat", portmap_config(many_ports(), {{"snat", false}})},
      {"masqAll", portmap_config(many_ports(), {{"masqAll", true}})},
      {"another mark", portmap_config(one, {{"markMasqBit", 31}})},
      {"the first mark", portmap_config(one, {{"markMasqBit", 0}})},
      {"a chain of somebody else", portmap_config(one, {{"externalSetMarkChain", "KUBE-MARK"}})},
      {"conditions", portmap_config(one, {{"conditionsV4", {"!", "-s", "198.51.100.0/24"}},
                                          {"conditionsV6", {"-i", "eth9"}}})}};
}

void make_chain_of_somebody_else(const PortmapNode& node) {
  node.restore("iptables", "-N KUBE-MARK\n");
  node.restore("ip6tables", "-N KUBE-MARK\n");
}

}  // namespace

TEST_CASE("iptables has what the reference plugins have to the letter", "[netns]") {
  const IptablesKind kind = GENERATE(IptablesKind::kNft, IptablesKind::kLegacy);
  CAPTURE(static_cast<int>(kind));
  (void)require_reference();
  for (const Case& each : cases()) {
    INFO(each.name);
    const json config = for_kind(each.config, kind);
    std::string theirs;
    {
      PortmapNode node(kind);
      make_chain_of_somebody_else(node);
      node.reference_ok("ADD", config);
      node.reference_ok("ADD", portmap_config({tcp_port(7000, 70)}), "c2");
      theirs = node.rules();
    }
    PortmapNode node(kind);
    make_chain_of_somebody_else(node);
    node.ok("ADD", config);
    node.ok("ADD", portmap_config({tcp_port(7000, 70)}), "c2");
    CHECK(node.rules() == theirs);
  }
}

TEST_CASE("what one of both publishes the other one checks and removes", "[netns]") {
  const IptablesKind kind = GENERATE(IptablesKind::kNft, IptablesKind::kLegacy);
  CAPTURE(static_cast<int>(kind));
  (void)require_reference();
  for (const Case& each : cases()) {
    INFO(each.name);
    const json config = for_kind(each.config, kind);
    PortmapNode node(kind);
    make_chain_of_somebody_else(node);
    // The shared chains, and another container that is to stay.
    node.reference_ok("ADD", portmap_config({tcp_port(7000, 70)}), "c2");
    node.ok("ADD", config);
    node.ok("DEL", config);
    const std::string before = node.rules();

    node.reference_ok("ADD", config);
    CHECK(node.rules() != before);
    node.ok("CHECK", config);
    node.ok("DEL", config);
    CHECK(node.rules() == before);

    node.ok("ADD", config);
    node.reference_ok("CHECK", config);
    node.reference_ok("DEL", config);
    CHECK(node.rules() == before);
  }
}

TEST_CASE("GC removes what the reference plugins left", "[netns]") {
  const IptablesKind kind = GENERATE(IptablesKind::kNft, IptablesKind::kLegacy);
  CAPTURE(static_cast<int>(kind));
  (void)require_reference();
  PortmapNode node(kind);
  node.reference_ok("ADD", portmap_config({tcp_port(7000, 70)}), "c2");
  const std::string before = node.rules();
  const json config = for_kind(portmap_config(many_ports()), kind);
  node.reference_ok("ADD", config);
  json gc = portmap_config({}, {{"prevResult", nullptr}});
  gc["cni.dev/valid-attachments"] = json::array({{{"containerID", "c2"}, {"ifname", "eth0"}}});
  node.ok("GC", gc);
  CHECK(node.rules() == before);
}

// Before 0.7.1 a second chain for each container gave connections the host's address.
TEST_CASE("the second chain of old releases is removed too", "[netns]") {
  const IptablesKind kind = GENERATE(IptablesKind::kNft, IptablesKind::kLegacy);
  CAPTURE(static_cast<int>(kind));
  PortmapNode node(kind);
  const json config = portmap_config({tcp_port(8080, 80)});
  node.ok("ADD", config);
  const std::string rules = node.rules();
  const std::size_t start = rules.find("CNI-DN-");
  const std::string chain = "CNI-SN-" + rules.substr(start + 7, 21);
  node.ok("DEL", config);
  node.restore("iptables", "-N CNI-HOSTPORT-SNAT\n");
  const std::string before = node.rules();
  node.restore("iptables", "-N " + chain +
                               "\n-A CNI-HOSTPORT-SNAT -m comment --comment \"snat\" -j " + chain +
                               "\n-A " + chain + " -s 127.0.0.1 -j MASQUERADE\n");
  node.ok("ADD", config);
  node.ok("DEL", config);
  CHECK(node.rules() == before);
}
