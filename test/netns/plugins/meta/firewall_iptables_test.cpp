// The firewall's rules of iptables: whose they are, and that nothing is left of them.
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "pkg/os/file.hpp"
#include "test/netns/plugins/meta/firewall_node.hpp"
#include "test/support/snapshot.hpp"

using namespace cni;
using namespace cni::test;

namespace {

// What a node has once it had a container.
std::string saved_after_a_first(FirewallNode& node) {
  node.add(FirewallNode::config(9, "open"), "first", result_with(kBoth));
  node.del(FirewallNode::config(9, "open"), "first");
  return node.saved();
}

// Programs in front of iptables' own that write down each execution.
std::string counting_programs(FirewallNode& node) {
  const std::string folder = node.node.spaces.folder() + "/counting";
  run_ok({"mkdir", folder});
  for (const std::string name :
       {"iptables", "iptables-restore", "ip6tables", "ip6tables-restore"}) {
    const std::string path = cat(folder, "/", name);
    write_file(path, cat("#!/bin/sh\necho ", name, " >>", folder, "/log\nexec ", node.folder(), "/",
                         name, " \"$@\"\n"));
    run_ok({"chmod", "+x", path});
  }
  return folder;
}

unsigned mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

template <class Fn>
void for_all_at_once(int count, Fn&& fn) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back([&fn, i] { fn(i); });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

TEST_CASE("the rules are those of the reference to the byte", "[netns]") {
  const std::string reference = require_reference();
  const std::string implementation = GENERATE("nft", "legacy");
  const std::string policy = GENERATE("open", "same-bridge", "isolated");
  CAPTURE(implementation, policy);
  const auto saved_by = [&](const std::string& folder) {
    FirewallNode node(implementation);
    const json results[] = {result_with(kBoth),
                            result_with({"10.88.1.6/24", "10.88.1.7/24", "fd00:88:1::6/64"}),
                            result_with({"10.88.2.5/24"}, "cni2")};
    for (const json& result : results) {
      Call what = node.call();
      what.command = "ADD";
      what.container_id = cat("c", &result - results);
      what.netns = "/run/netns/none";
      json config = FirewallNode::config(1, policy);
      config["cniVersion"] = "1.0.0";
      config["prevResult"] = result;
      config["prevResult"]["cniVersion"] = "1.0.0";
      what.input = config.dump();
      what.path = folder;
      // The first of two PATHs counts for the reference.
      what.wrapper = {"/usr/bin/env", "PATH=" + node.folder()};
      FirewallNode::expect_ok(call(folder + "/firewall", what));
    }
    return node.saved();
  };
  const std::string theirs = saved_by(reference);
  CHECK(count_of("10.88.2.5/32", theirs) == 2);
  CHECK(saved_by(CNI_TEST_BIN_DIR) == theirs);
}

TEST_CASE("DEL with nothing but ids leaves what was there before ADD", "[netns]") {
  const std::string implementation = GENERATE("nft", "legacy");
  const std::string policy = GENERATE("open", "same-bridge", "isolated");
  CAPTURE(implementation, policy);
  FirewallNode node(implementation);
  const std::string before = saved_after_a_first(node);
  node.add(FirewallNode::config(1, policy), "one", result_with(kBoth));
  CHECK(node.saved() != before);
  node.del({{"type", "firewall"}, {"name", "net1"}}, "one");
  CHECK(node.saved() == before);
  CHECK(os::list_directory("/run/cni/firewall/attachments").empty());
  CHECK(os::list_directory("/run/cni/firewall/by-address").empty());
  CHECK(os::list_directory("/run/cni/firewall/by-bridge").empty());
  node.del({{"type", "firewall"}, {"name", "net1"}}, "one");
}

TEST_CASE("DEL succeeds when somebody has removed the rules", "[netns]") {
  const std::string implementation = GENERATE("nft", "legacy");
  const std::string policy = GENERATE("open", "isolated");
  const bool all_at_once = GENERATE(true, false);
  CAPTURE(implementation, policy, all_at_once);
  FirewallNode node(implementation);
  node.add(FirewallNode::config(1, policy), "one", result_with(kBoth));
  if (all_at_once && implementation == "nft") {
    run_ok({"nft", "flush", "ruleset"});
  } else {
    node.iptables({"-F"});
    if (all_at_once) node.iptables({"-X"});
  }
  node.del(FirewallNode::config(1, policy), "one");
  CHECK(count_of("-A ", node.saved()) == 0);
  CHECK(count_of("ISOLATION", node.saved()) == 0);
  CHECK(os::list_directory("/run/cni/firewall/attachments").empty());
}

TEST_CASE("an address that another container has got meanwhile keeps its rules", "[netns]") {
  FirewallNode node;
  node.add(FirewallNode::config(1, "open"), "old", result_with(kBoth));
  node.add(FirewallNode::config(1, "open"), "new", result_with(kBoth));
  const std::string before = node.saved();
  CHECK(count_of("10.88.1.5/32", before) == 2);
  node.del(FirewallNode::config(1, "open"), "old");
  CHECK(node.saved() == before);
  node.del(FirewallNode::config(1, "open"), "new");
  CHECK(count_of("10.88.1.5/32", node.saved()) == 0);
}

TEST_CASE("what two containers on a bridge need stays until both are gone", "[netns]") {
  FirewallNode node;
  const std::string before = saved_after_a_first(node);
  node.add(FirewallNode::config(1, "same-bridge"), "one", result_with({"10.88.1.5/24"}));
  const std::string one = node.saved();
  node.add(FirewallNode::config(1, "isolated"), "two", result_with({"10.88.1.6/24"}));
  node.del(FirewallNode::config(1, "isolated"), "two");
  CHECK(node.saved() == one);
  node.del(FirewallNode::config(1, "same-bridge"), "one");
  CHECK(node.saved() == before);
}

TEST_CASE("an ADD that is repeated makes nothing twice", "[netns]") {
  const std::string implementation = GENERATE("nft", "legacy");
  CAPTURE(implementation);
  FirewallNode node(implementation);
  const std::string before = saved_after_a_first(node);
  const json config = FirewallNode::config(1, "isolated");
  node.add(config, "one", result_with(kBoth));
  const std::string once = node.saved();
  node.add(config, "one", result_with(kBoth));
  CHECK(node.saved() == once);
  // With another address and policy, as after a crash and a change of the configuration.
  node.add(FirewallNode::config(1, "open"), "one", result_with({"10.88.1.9/24"}));
  node.del(config, "one");
  CHECK(node.saved() == before);
}

TEST_CASE("a container of the reference keeps its bridge's policy", "[netns]") {
  const std::string reference = require_reference();
  FirewallNode node;
  const json ours = node.attach("ours", 1);
  const json theirs = node.attach("theirs", 1);
  node.add(FirewallNode::config(1, "same-bridge"), "ours", ours);
  Call what = node.call();
  what.command = "ADD";
  what.container_id = "theirs";
  what.netns = "/run/netns/theirs";
  json config = FirewallNode::config(1, "same-bridge");
  config["cniVersion"] = "1.0.0";
  config["prevResult"] = theirs;
  config["prevResult"]["cniVersion"] = "1.0.0";
  what.input = config.dump();
  FirewallNode::expect_ok(call(reference + "/firewall", what));

  node.del(FirewallNode::config(1, "same-bridge"), "ours");
  CHECK(count_of("-o cni1", node.saved()) > 0);
  CHECK(count_of(address_in(ours, '4'), node.saved()) == 0);
  // Its own DEL tells where it was; the bridge plugin's comes after it.
  FirewallNode::expect_ok(
      node.firewall("DEL", FirewallNode::config(1, "same-bridge"), "theirs", theirs));
  CHECK(count_of(address_in(theirs, '4'), node.saved()) == 0);
  node.node.del(FirewallNode::bridge_config(1), "ours");
  node.node.del(FirewallNode::bridge_config(1), "theirs");

  json all_gone = {{"type", "firewall"}, {"name", "net1"}};
  all_gone["cni.dev/valid-attachments"] = json::array();
  FirewallNode::expect_ok(node.firewall("GC", all_gone, "none"));
  CHECK(count_of("ISOLATION", node.saved()) == 0);
}

TEST_CASE("GC removes what belongs to containers that are gone", "[netns]") {
  const std::string implementation = GENERATE("nft", "legacy");
  CAPTURE(implementation);
  FirewallNode node(implementation);
  node.add(FirewallNode::config(1, "isolated"), "kept", result_with({"10.88.1.5/24"}));
  node.add(FirewallNode::config(2, "same-bridge"), "other", result_with({"10.88.2.5/24"}, "cni2"));
  const std::string before = node.saved();
  node.add(FirewallNode::config(1, "same-bridge"), "gone", result_with({"10.88.1.6/24"}));
  node.add(FirewallNode::config(1, "isolated"), "too", result_with(kBoth, "cni3"));
  json config = {{"type", "firewall"}, {"name", "net1"}};
  config["cni.dev/valid-attachments"] =
      json::array({{{"containerID", "kept"}, {"ifname", "eth0"}}});
  FirewallNode::expect_ok(node.firewall("GC", config, "none"));
  // The other family's chain and its jumps are what attachments share.
  const std::string after = node.saved();
  CHECK(after.substr(0, before.find("*filter", 1)) == before.substr(0, before.find("*filter", 1)));
  CHECK(count_of("fd00:", after) == 0);
  CHECK(count_of("cni3", after) == 0);
  CHECK(os::list_directory("/run/cni/firewall/attachments").size() == 2);
}

TEST_CASE("CHECK names what is missing and makes nothing", "[netns]") {
  const std::string implementation = GENERATE("nft", "legacy");
  CAPTURE(implementation);
  FirewallNode node(implementation);
  const json config = FirewallNode::config(1, "isolated");
  const json result = result_with(kBoth);
  node.add(config, "one", result);
  FirewallNode::expect_ok(node.firewall("CHECK", config, "one", result));
  json unnamed = config;
  unnamed.erase("backend");
  FirewallNode::expect_ok(node.firewall("CHECK", unnamed, "one", result));

  const std::string rules = node.saved();
  const auto lose = [&](const std::vector<std::string>& rule) {
    std::vector<std::string> argv = {cat("iptables-", implementation), "-D"};
    argv.insert(argv.end(), rule.begin(), rule.end());
    run_ok(argv);
    const PluginRun run = node.firewall("CHECK", config, "one", result);
    check_error(run, 105, "expected rule [");
    CHECK(run.msg().find(rule[0]) != std::string::npos);
    node.add(config, "one", result);
  };
  // In this order the two end up in theirs.
  lose({"CNI-FORWARD", "-d", "10.88.1.5", "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED",
        "-j", "ACCEPT"});
  lose({"CNI-FORWARD", "-s", "10.88.1.5", "-j", "ACCEPT"});
  lose({"FORWARD", "-m", "comment", "--comment", "CNI firewall plugin rules", "-j", "CNI-FORWARD"});
  lose({"CNI-ISOLATION-STAGE-1", "1"});
  lose({"CNI-ISOLATION-STAGE-2", "1"});
  CHECK(node.saved() == rules);

  node.iptables({"-F"});
  node.iptables({"-X"});
  const std::string flushed = node.saved();
  check_error(node.firewall("CHECK", config, "one", result), 105, "expected rule [");
  CHECK(node.saved() == flushed);
}

TEST_CASE("one program is run for each family and none to remove", "[netns]") {
  FirewallNode node;
  const std::string folder = counting_programs(node);
  Call what;
  what.more_environment = {"PATH=" + folder + ":/usr/bin:/bin"};
  const auto ran = [&] {
    const std::string text = os::read_file(folder + "/log").value_or("");
    (void)os::remove_file(folder + "/log");
    return text;
  };
  const json config = FirewallNode::config(1, "isolated");
  const std::string both = "iptables-restore\nip6tables-restore\n";
  for (const std::string name : {"one", "two"}) {
    CAPTURE(name);
    const json result = result_with({cat("10.88.1.", name.size() + (name == "one" ? 0 : 9), "/24"),
                                     cat("fd00:88:1::", name == "one" ? "1" : "2", "/64")});
    FirewallNode::expect_ok(node.node.run("ADD", config, name, result, what));
    CHECK(ran() == both);
    // Nothing is missing.
    FirewallNode::expect_ok(node.node.run("ADD", config, name, result, what));
    FirewallNode::expect_ok(node.node.run("CHECK", config, name, result, what));
    CHECK(ran().empty());
  }
  FirewallNode::expect_ok(
      node.node.run("ADD", config, "three", result_with({"10.88.1.99/24"}), what));
  CHECK(ran() == "iptables-restore\n");
  for (const char* name : {"one", "two", "three"}) {
    FirewallNode::expect_ok(node.node.run("DEL", config, name, nullptr, what));
  }
  CHECK(ran().empty());
  CHECK(count_of("cni1", node.saved()) == 0);
}

TEST_CASE("containers that come and go at once get one of each rule", "[netns]") {
  constexpr int kContainers = 64;
  const std::string implementation = GENERATE("nft", "legacy");
  CAPTURE(implementation);
  FirewallNode node(implementation);
  const json config = FirewallNode::config(1, "isolated");
  std::atomic<int> failures = 0;
  const auto run_all = [&](const char* command) {
    for_all_at_once(kContainers, [&](int index) {
      Call what = node.call();
      what.command = command;
      what.container_id = cat("c", index);
      what.netns = "/run/netns/none";
      json whole = config;
      whole["cniVersion"] = "1.1.0";
      if (*command == 'A') whole["prevResult"] = result_with({cat("10.88.1.", index + 2, "/24")});
      what.input = whole.dump();
      if (!call("firewall", what).ok()) ++failures;
    });
  };
  run_all("ADD");
  CHECK(failures == 0);
  const std::string all = node.saved();
  CHECK(count_of("-A FORWARD ", all) == 2);
  CHECK(count_of("-A CNI-ISOLATION", all) == 5);
  CHECK(count_of("-A CNI-FORWARD -m comment", all) == 1);
  CHECK(count_of("-A CNI-FORWARD -s ", all) == kContainers);
  CHECK(count_of("-A CNI-FORWARD -d ", all) == kContainers);
  run_all("DEL");
  CHECK(failures == 0);
  const std::string none = node.saved();
  CHECK(count_of("-A CNI-FORWARD -", none) == 1);
  CHECK(count_of("ISOLATION", none) == 0);
  CHECK(os::list_directory("/run/cni/firewall/attachments").empty());
}

TEST_CASE("a host may be switched to the other implementation of iptables", "[netns]") {
  FirewallNode node("nft");
  (void)saved_after_a_first(node);  // leaves its chains
  Call what;
  what.more_environment = {"PATH=" + programs_of(node.node.spaces, "legacy")};
  const json config = FirewallNode::config(1, "isolated");
  const json result = result_with(kBoth);
  FirewallNode::expect_ok(node.node.run("ADD", config, "one", result, what));
  CHECK(count_of("10.88.1.5", run_ok({"iptables-legacy-save"})) == 2);
  FirewallNode::expect_ok(node.node.run("CHECK", config, "one", result, what));
  // Back again: DEL looks into both.
  node.del(config, "one");
  CHECK(count_of("10.88.1.5", run_ok({"iptables-legacy-save"})) == 0);
  CHECK(count_of("fd00:88:1::5", run_ok({"ip6tables-legacy-save"})) == 0);
  CHECK(count_of("ISOLATION", run_ok({"iptables-legacy-save"})) == 0);
}

TEST_CASE("what is remembered can be read by root alone", "[netns]") {
  FirewallNode node;
  const mode_t mask = ::umask(0);
  node.add(FirewallNode::config(1, "isolated"), "one", result_with(kBoth));
  (void)::umask(mask);
  const std::string folder = "/run/cni/firewall";
  CHECK(mode_of(folder) == 0700);
  CHECK(mode_of(folder + "/lock") == 0600);
  for (const char* below : {"/attachments", "/by-address/10.88.1.5", "/by-bridge/cni1"}) {
    const auto names = os::list_directory(folder + below);
    REQUIRE(names.size() == 1);
    CHECK(mode_of(folder + below) == 0700);
    CHECK(mode_of(cat(folder, below, "/", names[0])) == 0600);
  }
}

TEST_CASE("only families that have addresses are touched", "[netns]") {
  FirewallNode node;
  const std::string folder = node.node.spaces.folder() + "/ipv4";
  run_ok({"mkdir", folder});
  for (const std::string name : {"iptables", "iptables-restore"}) {
    run_ok({"ln", "-s", cat(node.folder(), "/", name), cat(folder, "/", name)});
  }
  Call what;
  what.more_environment = {"PATH=" + folder};
  const json result = result_with({"10.88.1.5/24"});
  const json config = FirewallNode::config(1, "same-bridge");
  FirewallNode::expect_ok(node.node.run("ADD", config, "one", result, what));
  CHECK(count_of("-A ", run_ok({"ip6tables-nft-save"})) == 0);
}
