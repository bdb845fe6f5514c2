// Which backend keeps the firewall if none is named.
#include "pkg/os/file.hpp"
#include "test/netns/plugins/meta/firewall_node.hpp"

using namespace cni;
using namespace cni::test;

TEST_CASE("nftables is used where iptables cannot be", "[netns]") {
  FirewallNode node;
  const std::string folder = node.node.spaces.folder() + "/broken";
  run_ok({"mkdir", folder});
  // Both are broken, or only the one that comes second.
  const bool is_ipv4_broken = GENERATE(true, false);
  CAPTURE(is_ipv4_broken);
  for (const std::string name :
       {"iptables", "iptables-restore", "ip6tables", "ip6tables-restore"}) {
    const std::string path = cat(folder, "/", name);
    if (name[2] == 't' && !is_ipv4_broken) {
      run_ok({"ln", "-s", cat(node.folder(), "/", name), path});
    } else {
      write_file(path, "#!/bin/sh\nexit 3\n");
      run_ok({"chmod", "+x", path});
    }
  }
  Call what;
  what.more_environment = {"PATH=" + folder + ":/usr/bin:/bin",
                           "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/no-such-bus"};
  json config = FirewallNode::config(1, "same-bridge");
  config.erase("backend");
  const json result = result_with(kBoth);
  FirewallNode::expect_ok(node.node.run("ADD", config, "one", result, what));
  CHECK(count_of("10.88.1.5", run_ok({"nft", "list", "table", "inet", "cni_firewall"})) > 0);
  CHECK(count_of("10.88.1.5", node.saved()) == 0);
  CHECK(count_of("ISOLATION", node.saved()) == 0);
  CHECK(os::list_directory("/run/cni/firewall/attachments").empty());
  FirewallNode::expect_ok(node.node.run("CHECK", config, "one", result, what));
  FirewallNode::expect_ok(node.node.run("DEL", config, "one", nullptr, what));
  CHECK(count_of("10.88.1.5", run_ok({"nft", "list", "ruleset"})) == 0);
  // Who asks for iptables gets iptables or an error.
  config["backend"] = "iptables";
  const PluginRun run = node.node.run("ADD", config, "one", result, what);
  check_error(run, 103, "add firewall rules of container one (network net1, eth0) with ip");
  CHECK(count_of("10.88.1.5", node.saved()) == 0);
}
