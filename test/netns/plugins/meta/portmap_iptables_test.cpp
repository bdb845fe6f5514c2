// What portmap keeps in iptables: ADD, CHECK, DEL and GC, in both implementations of it.
#include <algorithm>

#include "test/netns/plugins/meta/portmap_iptables_node.hpp"

using namespace cni;
using namespace cni::test;

namespace {

std::vector<json> two_ports() { return {tcp_port(8080, 80), port_on("udp", 8053, 53, "")}; }

IptablesKind each_kind() {
  const IptablesKind kind = GENERATE(IptablesKind::kNft, IptablesKind::kLegacy);
  CAPTURE(static_cast<int>(kind));
  return kind;
}

std::vector<std::string> lines_of(std::string text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    out.push_back(text.substr(0, end));
    text.erase(0, end + 1);
  }
  return out;
}

}  // namespace

TEST_CASE("a published port leads to the container", "[netns]") {
  PortmapNode node(each_kind());
  const NamedServer server(node.c1, "c1", {.ports = {80, 53}, .addresses = {}, .sctp = has_sctp()});
  const NamedServer host(node.host(), "host", {.ports = {8080}, .addresses = {}});
  CHECK(node.ask_host(8080) == "host sees 192.0.2.2");
  std::vector<json> mappings = two_ports();
  if (has_sctp()) mappings.push_back(port_on("sctp", 8099, 80, ""));
  const json config = portmap_config(mappings);
  node.ok("ADD", config);
  CHECK(node.ask_host(8080) == "c1 sees 192.0.2.2");
  CHECK(node.ask_host(8080, IPPROTO_TCP, "2001:db8::1") == "c1 sees 2001:db8::2");
  CHECK(node.ask_host(8053, IPPROTO_UDP) == "c1 sees 192.0.2.2");
  if (has_sctp()) CHECK(node.ask_host(8099, IPPROTO_SCTP) == "c1 sees 192.0.2.2");
  node.ok("CHECK", config);
  node.ok("DEL", config);
  CHECK(node.ask_host(8080) == "host sees 192.0.2.2");
  CHECK(node.ask_host(8053, IPPROTO_UDP, "192.0.2.1", kNoAnswerExpected) == "");
}

TEST_CASE("prevResult is handed on unchanged", "[netns]") {
  PortmapNode node;
  const bool has_ports = GENERATE(true, false);
  const json config = portmap_config(has_ports ? two_ports() : std::vector<json>());
  const PluginRun run = node.run("ADD", config);
  INFO(run.describe());
  REQUIRE(run.ok());
  json expected = PortmapNode::prev_result("c1");
  CHECK(run.document == expected);
}

TEST_CASE("ADD of ports may be repeated and DEL too", "[netns]") {
  PortmapNode node(each_kind());
  const json config = portmap_config(two_ports());
  node.ok("DEL", config);  // nothing is there yet
  node.ok("ADD", config);
  const std::string once = node.rules();
  node.ok("ADD", config);
  CHECK(node.rules() == once);
  // The same attachment with other ports.
  node.ok("ADD", portmap_config({tcp_port(8081, 80)}));
  CHECK(count_of("--dport 8080", node.rules()) == 0);
  node.ok("DEL", config);
  const std::string without = node.rules();
  CHECK(count_of("CNI-DN-", without) == 0);
  node.ok("DEL", config);
  CHECK(node.rules() == without);
}

TEST_CASE("DEL needs neither ports nor addresses nor a valid configuration", "[netns]") {
  PortmapNode node(each_kind());
  node.ok("ADD", portmap_config({tcp_port(7000, 70)}), "c2");
  const std::string before = node.rules();
  json without_ports = portmap_config({}, {{"prevResult", nullptr}});
  without_ports.erase("runtimeConfig");
  json other_backend = without_ports;
  other_backend["backend"] = "nftables";
  json invalid = portmap_config({}, {{"prevResult", nullptr}, {"backend", 7}});
  invalid["runtimeConfig"]["portMappings"] = "all";
  const json invalid_port = portmap_config({tcp_port(0, 80)}, {{"backend", "pigeon"}});
  for (const json& config : {without_ports, other_backend, invalid, invalid_port}) {
    INFO(config.dump());
    node.ok("ADD", portmap_config(two_ports()));
    REQUIRE(node.rules() != before);
    node.ok("DEL", config);
    CHECK(node.rules() == before);
  }
}

TEST_CASE("DEL of ports succeeds after the rules were flushed", "[netns]") {
  const auto flush =
      GENERATE(std::vector<std::string>{"nft", "flush", "ruleset"},
               std::vector<std::string>{"iptables", "-t", "nat", "-F"},
               std::vector<std::string>{"iptables", "-t", "nat", "-F", "PREROUTING"},
               std::vector<std::string>{"ip6tables", "-t", "nat", "-F", "CNI-HOSTPORT-DNAT"});
  INFO(flush.back());
  PortmapNode node;
  const NamedServer server(node.c1, "c1", {.ports = {80}, .addresses = {}});
  const json config = portmap_config(two_ports());
  node.ok("ADD", config);
  const std::string whole = node.rules();
  run_ok(flush);
  CHECK(node.run("CHECK", config).code() == 105);
  // ADD makes all of it again.
  node.ok("ADD", config);
  CHECK(node.rules() == whole);
  node.ok("CHECK", config);
  CHECK(node.ask_host(8080) == "c1 sees 192.0.2.2");
  run_ok(flush);
  node.ok("DEL", config);
  CHECK(count_of("CNI-DN-", node.rules()) == 0);
}

TEST_CASE("CHECK names whichever rule is missing", "[netns]") {
  const IptablesKind kind = each_kind();
  PortmapNode node(kind);
  const json config = portmap_config({tcp_port(8080, 80), port_on("udp", 8053, 53, "192.0.2.1")});
  node.ok("ADD", config);
  node.ok("CHECK", config);
  int removed = 0;
  std::string family = "ip6tables";
  for (const std::string& line : lines_of(node.rules())) {
    if (line == "*nat") family = family == "iptables" ? "ip6tables" : "iptables";
    if (!line.starts_with("-A ")) continue;
    INFO(family << " " << line);
    const std::string rule = line.substr(3);
    node.restore(family, "-D " + rule + "\n");
    const PluginRun run = node.run("CHECK", config);
    INFO(run.describe());
    CHECK(run.code() == 105);
    CHECK(run.msg().find(cat(": ", family, " rule is missing in table nat: ",
                             rule.substr(0, rule.find(' ')))) != std::string::npos);
    CHECK(run.msg().find(line.substr(line.rfind(' '))) != std::string::npos);
    ++removed;
    node.ok("ADD", config);
    node.ok("CHECK", config);
  }
  // Both families: two jumps, two for the mark, one for masquerade, two entries; IPv4: six rules
  // of the container, IPv6: two.
  CHECK(removed == 2 * 7 + 6 + 2);
}

TEST_CASE("a host port that another container has is refused with its name", "[netns]") {
  PortmapNode node(each_kind());
  node.ok("ADD", portmap_config({tcp_port(8080, 80), port_on("tcp", 8081, 81, "192.0.2.1")}), "c2");
  const std::string before = node.rules();
  const auto refused = [&](const json& mapping, const std::string& port) {
    const PluginRun run = node.run("ADD", portmap_config({tcp_port(9000, 90), mapping}));
    INFO(run.describe());
    check_error(
        run, 106,
        cat("host port ", port, " is already published for container c2 (network testnet)"));
    CHECK(node.rules() == before);
  };
  refused(tcp_port(8080, 81), "tcp 8080");
  refused(port_on("tcp", 8080, 81, "192.0.2.1"), "tcp 192.0.2.1:8080");
  refused(port_on("tcp", 8081, 81, "192.0.2.1"), "tcp 192.0.2.1:8081");
  refused(tcp_port(8081, 81), "tcp 8081");

  // Another protocol, or another address of the host, is another port.
  const json fits =
      portmap_config({port_on("udp", 8080, 81, ""), port_on("tcp", 8081, 81, "192.0.2.9")});
  node.ok("ADD", fits);
  node.ok("CHECK", fits);
  node.ok("DEL", fits);
  // The holder itself may come again, and leaves the port free.
  node.ok("ADD", portmap_config({tcp_port(8080, 82)}), "c2");
  node.ok("DEL", portmap_config({tcp_port(8080, 82)}), "c2");
  node.ok("ADD", portmap_config({tcp_port(8080, 80)}));
}

TEST_CASE("GC keeps valid containers and other networks", "[netns]") {
  PortmapNode node(each_kind());
  node.ok("ADD", portmap_config({tcp_port(7000, 70)}), "c2");
  node.ok("ADD", portmap_config({tcp_port(7001, 70)}, {{"name", "othernet"}}));
  const std::string kept = node.rules();
  node.ok("ADD", portmap_config(two_ports()));
  json gc = portmap_config({}, {{"prevResult", nullptr}});
  gc["cni.dev/valid-attachments"] = json::array({{{"containerID", "c2"}, {"ifname", "eth0"}}});
  node.ok("GC", gc);
  CHECK(node.rules() == kept);
  gc["cni.dev/valid-attachments"] = json::array();
  node.ok("GC", gc);
  CHECK(count_of("testnet", node.rules()) == 0);
  CHECK(count_of("othernet", node.rules()) == 2);
}

// Both have the chain, whose name knows no interface.
TEST_CASE("a second interface of the container has its own ports", "[netns]") {
  PortmapNode node(each_kind());
  const NamedServer server(node.c1, "c1", {.ports = {80}, .addresses = {}});
  const NamedServer second_server(node.c2, "c2", {.ports = {80}, .addresses = {}});
  const json first = portmap_config({tcp_port(8080, 80), tcp_port(8081, 80)});
  // The second one leads to the addresses that are c2's here.
  json second = portmap_config({tcp_port(8090, 80), tcp_port(8081, 80)});
  second["prevResult"] = PortmapNode::prev_result("c2", "eth1.5");
  node.ok("ADD", first);
  const std::string alone = node.rules();
  node.ok("ADD", second, "c1", "eth1.5");
  CHECK(node.ask_host(8080) == "c1 sees 192.0.2.2");
  CHECK(node.ask_host(8090) == "c2 sees 192.0.2.2");
  node.ok("CHECK", first);
  node.ok("CHECK", second, "c1", "eth1.5");

  node.ok("DEL", second, "c1", "eth1.5");
  CHECK(node.rules() == alone);
  node.ok("ADD", second, "c1", "eth1.5");
  node.ok("DEL", first);
  CHECK(node.ask_host(8090) == "c2 sees 192.0.2.2");
  CHECK(node.ask_host(8081) == "c2 sees 192.0.2.2");
  CHECK(count_of("10.22.0.2", node.rules()) == 0);
  node.ok("CHECK", second, "c1", "eth1.5");
  // Without an address all of the container's go.
  second["prevResult"] = nullptr;
  node.ok("DEL", second, "c1", "eth1.5");
  CHECK(count_of("CNI-DN-", node.rules()) == 0);
}
