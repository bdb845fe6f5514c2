// How much work portmap does with iptables, and how much it can do.
#include <chrono>

#include "test/netns/plugins/meta/portmap_iptables_node.hpp"

using namespace cni;
using namespace cni::test;

namespace {

std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> out;
  std::string text = test::run({"cat", path}).out;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    out.push_back(text.substr(0, end));
    text.erase(0, end + 1);
  }
  return out;
}

// The executable, with every program that it runs and every socket that it opens written down.
std::string trace(PortmapNode& node, const std::string& command, const json& config) {
  (void)require_program("strace");
  Call call = node.call_for(command, config, "c1");
  call.wrapper = {"strace", "-f", "-qq", "-e", "trace=execve,socket", "-o", "/run/trace"};
  // The leak detector of sanitized builds traces the process itself.
  call.more_environment = {"ASAN_OPTIONS=detect_leaks=0"};
  const PluginRun run = test::call("portmap", call);
  INFO(run.describe());
  REQUIRE(run.ok());
  return run_ok({"cat", "/run/trace"});
}

std::vector<json> ports_from(int first, int count) {
  std::vector<json> out;
  for (int port = first; port < first + count; ++port) out.push_back(tcp_port(port, port));
  return out;
}

}  // namespace

TEST_CASE("without ports ADD does not even ask netfilter", "[netns]") {
  PortmapNode node;
  const std::string quiet = trace(node, "ADD", portmap_config({}));
  CHECK(count_of("NETLINK_NETFILTER", quiet) == 0);
  CHECK(count_of("execve(", quiet) == 1);
  CHECK(node.rules().find("CNI-") == std::string::npos);
  // The trace shows what there is to see.
  const std::string busy = trace(node, "ADD", portmap_config({tcp_port(8080, 80)}));
  CHECK(count_of("NETLINK_NETFILTER", busy) > 0);
  CHECK(count_of("execve(", busy) > 1);
}

TEST_CASE("ADD runs one program for each family and DEL none", "[netns]") {
  PortmapNode node;
  const std::string log = cat(node.spaces().folder(), "/log");
  for (const std::string name : {"iptables", "ip6tables"}) {
    for (const std::string end : {"", "-restore"}) {
      node.use(name + end,
               cat("echo ", name, end, " >> ", log, "\nexec /usr/sbin/", name, end, " \"$@\""));
    }
  }
  const json config = portmap_config(ports_from(8000, 12));
  const std::vector<std::string> one_each = {"iptables-restore", "ip6tables-restore"};
  // On a cold host, and again.
  for (const char* round : {"cold", "warm"}) {
    INFO(round);
    node.ok("ADD", config);
    CHECK(lines_of(log) == one_each);
    run_ok({"rm", log});
    node.ok("CHECK", config);
    CHECK(lines_of(log) == one_each);
    run_ok({"rm", log});
    node.ok("DEL", config);
    CHECK(lines_of(log).empty());
  }
}

TEST_CASE("a thousand ports are published at once", "[netns]") {
  const IptablesKind kind = GENERATE(IptablesKind::kNft, IptablesKind::kLegacy);
  CAPTURE(static_cast<int>(kind));
  PortmapNode node(kind);
  const NamedServer server(node.c1, "c1", {.ports = {10000, 10500, 10999}, .addresses = {}});
  const json config = portmap_config(ports_from(10000, 1000));
  const auto start = std::chrono::steady_clock::now();
  node.ok("ADD", config);
  const auto took = std::chrono::steady_clock::now() - start;
  // One execution for each port would take as many seconds.
  CHECK(took < std::chrono::seconds(20));
  CHECK(count_of(" -j DNAT ", node.rules()) == 2000);
  CHECK(count_of("-A CNI-HOSTPORT-DNAT ", node.rules()) == 2 * 67);
  for (const int port : {10000, 10500, 10999}) CHECK(node.ask_host(port) == "c1 sees 192.0.2.2");
  node.ok("CHECK", config);
  // One of many.
  const std::string chain = node.rules().substr(node.rules().find("CNI-DN-"), 28);
  node.restore("ip6tables",
               "-D " + chain + " -p tcp --dport 10500 -j DNAT --to [fd00:22::2]:10500\n");
  const PluginRun run = node.run("CHECK", config);
  CHECK(run.code() == 105);
  CHECK(run.msg().find("-p tcp --dport 10500 -j DNAT --to-destination [fd00:22::2]:10500") !=
        std::string::npos);
  node.ok("DEL", config);
  CHECK(count_of("CNI-DN-", node.rules()) == 0);
}

TEST_CASE("each of many ports of both families is reached", "[netns]") {
  PortmapNode node;
  const NamedServer server(node.c1, "c1", {.ports = {80, 81}, .addresses = {}});
  std::vector<json> mappings;
  for (int i = 0; i < 64; ++i) {
    const int port = 9000 + i;
    const std::string protocol = i % 2 == 0 ? "tcp" : "udp";
    const std::string host_ip = i % 3 == 0 ? "192.0.2.1" : i % 3 == 1 ? "2001:db8::1" : "";
    mappings.push_back(port_on(protocol, port, 80 + i % 2, host_ip));
  }
  node.ok("ADD", portmap_config(mappings));
  for (int i = 0; i < 64; ++i) {
    INFO(i);
    const int transport = i % 2 == 0 ? IPPROTO_TCP : IPPROTO_UDP;
    if (i % 3 != 1) CHECK(node.ask_host(9000 + i, transport) == "c1 sees 192.0.2.2");
    if (i % 3 != 0) {
      CHECK(node.ask_host(9000 + i, transport, "2001:db8::1") == "c1 sees 2001:db8::2");
    }
  }
  // Not at the address of the other family.
  CHECK(node.ask_host(9000, IPPROTO_TCP, "2001:db8::1", kNoAnswerExpected) == "");
  CHECK(node.ask_host(9001, IPPROTO_UDP, "192.0.2.1", kNoAnswerExpected) == "");
}

TEST_CASE("only those in sourceRanges reach the container", "[netns]") {
  PortmapNode node;
  const NamedServer server(node.c1, "c1", {.ports = {80}, .addresses = {}});
  const NamedServer host(node.host(), "host", {.ports = {8080}, .addresses = {}});
  const auto seen_with = [&](const std::vector<std::string>& ranges) {
    json mapping = tcp_port(8080, 80);
    mapping["sourceRanges"] = ranges;
    const json config = portmap_config({mapping});
    node.ok("ADD", config);
    node.ok("CHECK", config);
    const std::string out =
        node.ask_host(8080) + ", " + node.ask_host(8080, IPPROTO_TCP, "2001:db8::1");
    node.ok("DEL", config);
    CHECK(count_of("CNI-DN-", node.rules()) == 0);
    return out;
  };
  const std::string by_host = "host sees 192.0.2.2";
  const std::string by_container = "c1 sees 192.0.2.2";
  CHECK(seen_with({"192.0.2.0/24"}) == by_container + ", host sees 2001:db8::2");
  CHECK(seen_with({"198.51.100.0/24", "2001:db8::2"}) == by_host + ", c1 sees 2001:db8::2");
  CHECK(seen_with({"198.51.100.0/24", "192.0.2.2", "::/0"}) ==
        by_container + ", c1 sees 2001:db8::2");
  CHECK(seen_with({"10.0.0.0/8"}) == by_host + ", host sees 2001:db8::2");
}

TEST_CASE("names that are too long for a comment are cut", "[netns]") {
  const IptablesKind kind = GENERATE(IptablesKind::kNft, IptablesKind::kLegacy);
  CAPTURE(static_cast<int>(kind));
  PortmapNode node(kind);
  const std::string network(200, 'n');
  json config = portmap_config({tcp_port(8080, 80)}, {{"name", network}});
  Call add = node.call_for("ADD", config, "c1");
  add.container_id = std::string(100, 'c');
  const PluginRun added = call_in_process(plugin_named("portmap"), add);
  INFO(added.describe());
  REQUIRE(added.ok());
  // Told apart by its beginning from what is of another network.
  json gc = portmap_config({}, {{"name", network.substr(1)}, {"prevResult", nullptr}});
  gc["cni.dev/valid-attachments"] = json::array();
  node.ok("GC", gc);
  CHECK(count_of("-j CNI-DN-", node.rules()) == 2);
  gc["name"] = network;
  node.ok("GC", gc);
  CHECK(count_of("CNI-DN-", node.rules()) == 0);
}

TEST_CASE("without any iptables nftables publishes the ports", "[netns][nft]") {
  PortmapNode node;
  const NamedServer server(node.c1, "c1", {.ports = {80}, .addresses = {}});
  for (const std::string name : {"iptables", "ip6tables"}) {
    for (const std::string end : {"", "-restore"}) node.use(name + end, "exit 127");
  }
  json config = portmap_config({tcp_port(8080, 80)});
  config.erase("backend");
  node.ok("STATUS", config);
  node.ok("ADD", config);
  CHECK(node.ask_host(8080) == "c1 sees 192.0.2.2");
  node.ok("CHECK", config);
  node.ok("DEL", config);
  CHECK(node.ask_host(8080, IPPROTO_TCP, "192.0.2.1", kNoAnswerExpected) == "");

  config["backend"] = "iptables";
  check_error(node.run("STATUS", config), 50, "publishing ports with iptables is not possible");
  CHECK(node.run("ADD", config).code() == 103);
}
