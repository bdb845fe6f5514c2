// Leases from a real server, through a bridge network, by the executable and its daemon.
#include <csignal>

#include "test/netns/plugins/ipam/dhcp_network.hpp"

using namespace cni::test;
using cni::cat;

namespace {

// A host with a bridge on which a server listens.
struct DhcpNode {
  PluginNode node;

  DhcpNode() {
    node.spaces.container("c1");
    (void)ip({"link", "add", "cni0", "type", "bridge"});
    (void)ip({"address", "add", "10.9.0.1/24", "dev", "cni0"});
    (void)ip({"link", "set", "cni0", "up"});
  }

  static std::vector<std::string> usual(std::vector<std::string> more = {}) {
    more.insert(more.begin(), "--dhcp-range=10.9.0.50,10.9.0.60,255.255.255.0,2m");
    return more;
  }

  static json config(const DhcpDaemon& daemon, const json& more = json::object()) {
    json ipam = {{"type", "dhcp"}, {"daemonSocketPath", daemon.socket_path()}};
    ipam.update(more);
    return {{"type", "bridge"}, {"bridge", "cni0"}, {"ipam", ipam}};
  }
};

}  // namespace

TEST_CASE("dhcp leases what the server grants and DEL gives it back", "[netns]") {
  DhcpNode host;
  const Dnsmasq server("cni0",
                       DhcpNode::usual({"--dhcp-option=6,10.9.0.53", "--dhcp-option=15,a.example",
                                        "--dhcp-option=119,b.example", "--dhcp-option=26,1400"}));
  const DhcpDaemon daemon;
  const json config = DhcpNode::config(daemon, {{"priority", 77}});
  Call arguments;
  arguments.args = "IgnoreUnknown=1;K8S_POD_NAME=web-0";
  const json result = host.node.add(config, "c1", arguments);
  INFO(result.dump(2) << server.log() << daemon.log());

  const std::string address = result.at("ips")[0].at("address");
  const std::string bare = address.substr(0, address.find('/'));
  CHECK(server.leases().find(" " + bare + " web-0 ") != std::string::npos);
  CHECK(server.log().find("DHCPACK(cni0) " + bare) != std::string::npos);
  CHECK(addresses_on("c1", "eth0") == std::vector<std::string>{address});
  CHECK(result.at("ips")[0].at("gateway") == "10.9.0.1");
  CHECK(result.at("dns") == json::parse(R"({"nameservers":["10.9.0.53"],"domain":"a.example",
    "search":["b.example"]})"));
  const json route = ip_in("c1", {"-j", "route", "show", "default"}).at(0);
  CHECK(route.at("gateway") == "10.9.0.1");
  CHECK(route.at("metric") == 77);
  CHECK(route.at("metrics")[0].at("mtu") == 1400);
  CHECK(files_in(daemon.state_folder()) == 1);

  host.node.check(config, result);
  host.node.del(config);
  await_text([&] { return server.log(); }, "DHCPRELEASE(cni0) " + bare);
  CHECK(server.leases().find(bare) == std::string::npos);
  CHECK(files_in(daemon.state_folder()) == 0);
  host.node.del(config);
}

TEST_CASE("dhcp applies classless routes alone", "[netns]") {
  DhcpNode host;
  const Dnsmasq server("cni0", DhcpNode::usual({"--dhcp-option=121,192.0.2.0/24,10.9.0.7,"
                                                "198.51.100.0/24,0.0.0.0"}));
  const DhcpDaemon daemon;
  const json config = DhcpNode::config(daemon);
  const json result = host.node.add(config);
  INFO(result.dump(2) << server.log() << daemon.log());
  CHECK(ip_in("c1", {"-j", "route", "show", "default"}).empty());
  CHECK(ip_in("c1", {"-j", "route", "show", "192.0.2.0/24"}).at(0).at("gateway") == "10.9.0.7");
  const json on_link = ip_in("c1", {"-j", "route", "show", "198.51.100.0/24"}).at(0);
  CHECK(on_link.at("scope") == "link");
  CHECK_FALSE(on_link.contains("gateway"));
  host.node.check(config, result);
  host.node.del(config);
}

TEST_CASE("dhcp leases both families", "[netns]") {
  DhcpNode host;
  (void)ip({"address", "add", "fd00:9::1/64", "dev", "cni0", "nodad"});
  const Dnsmasq server("cni0", DhcpNode::usual({"--dhcp-range=fd00:9::50,fd00:9::60,64,2m",
                                                "--dhcp-option=option6:dns-server,[fd00:9::53]"}));
  const DhcpDaemon daemon;
  const json config = DhcpNode::config(daemon, {{"ipv6", true}});
  const json result = host.node.add(config);
  INFO(result.dump(2) << server.log() << daemon.log());
  REQUIRE(result.at("ips").size() == 2);
  const std::string address = result.at("ips")[1].at("address");
  CHECK(address.starts_with("fd00:9::"));
  CHECK(address.ends_with("/128"));
  CHECK(result.at("dns").at("nameservers").back() == "fd00:9::53");
  host.node.check(config, result);
  host.node.del(config);
  await_text([&] { return server.log(); }, "DHCPRELEASE(cni0) ");
}

TEST_CASE("dhcp goes on with its leases after the daemon was killed", "[netns]") {
  DhcpNode host;
  const Dnsmasq server("cni0", DhcpNode::usual());
  DhcpDaemon daemon;
  const json config = DhcpNode::config(daemon);
  const json result = host.node.add(config);
  daemon.restart(SIGKILL);
  INFO(daemon.log());
  host.node.check(config, result);
  host.node.del(config);
  await_text([&] { return server.log(); }, "DHCPRELEASE(cni0) ");
}

TEST_CASE("a lease outlives its interface's MAC address", "[netns]") {
  DhcpNode host;
  const Dnsmasq server("cni0", DhcpNode::usual());
  DhcpDaemon daemon;
  json config = DhcpNode::config(daemon);
  const json result = host.node.add(config);
  // As the plugin tuning changes it, later in the chain.
  (void)ip_in("c1", {"link", "set", "eth0", "address", "02:00:00:00:00:99"});
  config.update({{"type", "dhcp"}});
  for (const int round : {0, 1}) {
    INFO(round << daemon.log());
    CHECK(host.node.add(config).at("ips") ==
          json::parse(R"([{"address": ")" + address_in(result) + R"(", "gateway": "10.9.0.1"}])"));
    CHECK(host.node.run("CHECK", config, "c1", result).ok());
    daemon.restart(SIGKILL);
  }
  CHECK(host.node.run("DEL", config).ok());
  await_text([&] { return server.log(); }, "DHCPRELEASE(cni0) ");
}

TEST_CASE("dhcp CHECK notices another address and a lost lease", "[netns]") {
  DhcpNode host;
  const Dnsmasq server("cni0", DhcpNode::usual());
  const DhcpDaemon daemon;
  json config = DhcpNode::config(daemon);
  json result = host.node.add(config);
  config.update({{"type", "dhcp"}});
  json other = result;
  other["ips"][0]["address"] = "10.9.0.200/24";
  const PluginRun changed = host.node.run("CHECK", config, "c1", other);
  check_error(changed, 105, "dhcp: the lease of eth0 is ");
  CHECK(changed.msg().find("10.9.0.200/24") != std::string::npos);
  host.node.del(config);
  check_error(host.node.run("CHECK", config, "c1", result), 105, "error calling DHCP.Look: ");
}

TEST_CASE("dhcp DEL succeeds without a daemon and says so", "[netns]") {
  DhcpNode host;
  const Dnsmasq server("cni0", DhcpNode::usual());
  DhcpDaemon daemon;
  json config = DhcpNode::config(daemon);
  (void)host.node.add(config);
  daemon.stop();
  config.update({{"type", "dhcp"}});
  const PluginRun run = host.node.run("DEL", config);
  INFO(run.describe());
  CHECK(run.ok());
  CHECK(run.err.find("error dialing DHCP daemon: ") != std::string::npos);
  check_error(host.node.run("STATUS", config), 50, "error dialing DHCP daemon: ");
}

TEST_CASE("dhcp GC gives back the leases of attachments that are gone", "[netns]") {
  DhcpNode host;
  const Dnsmasq server("cni0", DhcpNode::usual());
  const DhcpDaemon daemon;
  json config = DhcpNode::config(daemon);
  const json result = host.node.add(config);
  config.update({{"type", "dhcp"}});
  config["cni.dev/valid-attachments"] = json::array({{{"containerID", "c1"}, {"ifname", "eth0"}}});
  CHECK(host.node.run("GC", config).ok());
  CHECK(host.node.run("CHECK", config, "c1", result).ok());
  config["cni.dev/valid-attachments"] = json::array();
  CHECK(host.node.run("GC", config).ok());
  await_text([&] { return server.log(); }, "DHCPRELEASE(cni0) ");
  CHECK(files_in(daemon.state_folder()) == 0);
}

TEST_CASE("dhcp CHECK opens nothing that stays open", "[netns]") {
  DhcpNode host;
  const Dnsmasq server("cni0", DhcpNode::usual());
  const DhcpDaemon daemon;
  json config = DhcpNode::config(daemon);
  const json result = host.node.add(config);
  config.update({{"type", "dhcp"}});
  const std::size_t before = open_files_of(daemon.pid());
  for (int i = 0; i < 200; ++i) REQUIRE(host.node.run("CHECK", config, "c1", result).ok());
  CHECK(open_files_of(daemon.pid()) <= before + 1);
  host.node.del(config);
}

namespace {

// Throws when the ADD of the configuration has come to its step number `at`; 0: at the print. False
// if it has not so many steps; then it is deleted again.
bool fails_at(DhcpNode& host, const json& config, int at) {
  json whole = config;
  whole.update({{"cniVersion", "1.1.0"}, {"name", "testnet"}});
  Call call;
  call.command = "ADD";
  call.container_id = "c1";
  call.netns = "/run/netns/c1";
  call.input = whole.dump();
  int pushed = 0;
  Hooks hooks;
  hooks.on_undo_push = [&](std::string_view /*unused*/) {
    if (++pushed == at) throw cni::Error(cni::Code::kInternal, "the probe");
  };
  hooks.before_print = [&] {
    if (at == 0) throw cni::Error(cni::Code::kInternal, "the probe");
  };
  const PluginRun run =
      call_in_process(plugin_named(config.at("type").get<std::string>()), call, hooks);
  INFO("step " << at << ": " << run.describe());
  if (at > 0 && pushed < at) {
    REQUIRE(run.ok());
    host.node.del(config);
    return false;
  }
  check_error(run, 999, "");
  CHECK(run.msg().find("the probe") != std::string::npos);
  CHECK(run.details() == "");  // would name an undo step that failed
  return true;
}

// The steps that were failed at, the print among them. Whatever was leased has been given back.
int check_undo(DhcpNode& host, const Dnsmasq& server, const DhcpDaemon& daemon,
               const json& config) {
  int steps = 0;
  for (int at = 0; fails_at(host, config, at); ++at, ++steps) {
    await("as many releases as leases", [&] {
      return count_of(server.log(), "DHCPACK(") == count_of(server.log(), "DHCPRELEASE(");
    });
    CHECK(server.leases().empty());
    CHECK(files_in(daemon.state_folder()) == 0);
  }
  return steps;
}

}  // namespace

TEST_CASE("dhcp is undone from every step", "[netns]") {
  DhcpNode host;
  const Dnsmasq server("cni0", DhcpNode::usual());
  const DhcpDaemon daemon;
  const json with_bridge = DhcpNode::config(daemon);
  CHECK(check_undo(host, server, daemon, with_bridge) >= 3);
  CHECK_FALSE(find_link_json("c1", "eth0").has_value());

  json link = with_bridge;
  link["ipam"] = json::object();
  (void)host.node.add(link);
  json alone = with_bridge;
  alone["type"] = "dhcp";
  CHECK(check_undo(host, server, daemon, alone) == 2);
}

TEST_CASE("a dhcp ADD that fails gives back what it leased and nothing else", "[netns]") {
  DhcpNode host;
  const Dnsmasq server("cni0", DhcpNode::usual());
  const DhcpDaemon daemon;
  json config = DhcpNode::config(daemon);
  config.update({{"cniVersion", "1.0.0"}, {"name", "lan"}});
  const json result = host.node.add(config);
  config["type"] = "dhcp";
  Call call;
  call.command = "ADD";
  call.container_id = "c1";
  call.netns = "/run/netns/c1";
  call.input = config.dump();
  const Hooks failing{.on_undo_push = {}, .before_print = [] {
                        throw cni::Error(cni::Code::kIoFailure, "the result is not taken");
                      }};
  const auto add_in_vain = [&] {
    check_error(call_in_process(plugin_named("dhcp"), call, failing), 5, "the result is not taken");
  };

  // The lease is that of the ADD before.
  add_in_vain();
  CHECK(files_in(daemon.state_folder()) == 1);
  CHECK(host.node.run("CHECK", config, "c1", result).ok());

  CHECK(host.node.run("DEL", config).ok());
  CHECK(files_in(daemon.state_folder()) == 0);
  add_in_vain();
  CHECK(files_in(daemon.state_folder()) == 0);
  await("both leases given back", [&] { return count_of(server.log(), "DHCPRELEASE(") == 2; });
}
