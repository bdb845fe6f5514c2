// RECONCILE of the plugins that masquerade.
#include <map>

#include "test/netns/plugins/reconciliation.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"

namespace cni::test {
namespace {

json config_of(const std::string& type) {
  json out = {
      {"type", type},
      {"ipMasq", true},
      {"ipMasqBackend", "nftables"},
      {"ipam",
       {{"type", "host-local"}, {"ranges", json::parse(R"([[{"subnet":"10.30.0.0/24"}]])")}}}};
  if (type == "bridge") out["isGateway"] = true;
  return out;
}

TEST_CASE("RECONCILE restores what was flushed and then touches nothing", "[netns][nft]") {
  require_program("nft");
  for (const std::string type : {"bridge", "ptp"}) {
    INFO(type);
    PluginNode node;
    node.spaces.container("c1");
    json config = config_of(type);
    if (type == "bridge") config["macspoofchk"] = true;
    const json result = node.add(config);
    const std::string before = ruleset();
    PluginRun run = node.run("RECONCILE", config, "c1", result);
    INFO(run.describe());
    REQUIRE(run.ok());
    CHECK(run.document.at("cniVersion") == "1.1.0");
    CHECK(restored(run).empty());
    CHECK(ruleset() == before);

    run_ok({"nft", "flush", "ruleset"});
    CHECK(node.run("CHECK", config, "c1", result).code() == 105);
    run = node.run("RECONCILE", config, "c1", result);
    INFO(run.describe());
    REQUIRE(run.ok());
    CHECK(restored(run) ==
          (type == "bridge" ? Texts{"masquerade", "MAC spoof check"} : Texts{"masquerade"}));
    const std::string missing = run.document.at("restored").at(0).at("missing");
    CHECK(missing.find("10.30.0.2") != std::string::npos);
    node.check(config, result);
    const std::string after = ruleset();
    CHECK(restored(node.run("RECONCILE", config, "c1", result)).empty());
    CHECK(ruleset() == after);
    node.del(config, "c1", result);
    CHECK(ruleset().find("10.30.0.2 ") == std::string::npos);
  }
}

TEST_CASE("RECONCILE restores whatever part of the rules was removed", "[netns][nft]") {
  require_program("nft");
  PluginNode node;
  json config = config_of("bridge");
  config["macspoofchk"] = true;
  std::map<std::string, json> results;
  for (const char* id : {"c1", "c2"}) {
    node.spaces.container(id);
    results[id] = node.add(config, id);
  }
  const Texts before = rules();
  const std::string port = results["c1"].at("interfaces").at(1).at("name");
  const std::string masquerade = "inet cni_plugins_masquerade ";
  const std::string spoof = "bridge nat cni-macspoofchk";
  const std::string removals[] = {
      "delete table inet cni_plugins_masquerade",
      "delete table bridge nat",
      "flush chain " + masquerade + "masq_checks",
      "flush chain " + masquerade + "postrouting",
      "flush set " + masquerade + "containers_10.30.0.0/24",
      "delete element " + masquerade + "containers_10.30.0.0/24 { 10.30.0.2 }",
      "flush chain " + spoof,
      "flush chain bridge nat PREROUTING",
      "flush set " + spoof + "-ports",
      "delete element " + spoof + "-ports { " + port + " }",
      "flush set " + spoof + "-allowed"};
  for (const std::string& removal : removals) {
    INFO(removal);
    run_ok({"nft", removal});
    CHECK(rules() != before);
    for (const char* id : {"c1", "c2"}) {
      const PluginRun run = node.run("RECONCILE", config, id, results[id]);
      INFO(run.describe());
      CHECK(run.ok());
      // One of the two kinds was left alone, and so is the shared part by the second container.
      CHECK(restored(run).size() <= 1);
    }
    CHECK(rules() == before);
  }
}

TEST_CASE("RECONCILE adds nothing for a container or an interface that is gone", "[netns][nft]") {
  require_program("nft");
  for (const std::string type : {"bridge", "ptp"}) {
    INFO(type);
    PluginNode node;
    node.spaces.container("c1");
    const json config = config_of(type);
    const json result = node.add(config);
    run_ok({"nft", "flush", "ruleset"});
    run_ok({"ip", "-n", "c1", "link", "delete", "eth0"});
    const PluginRun run = node.run("RECONCILE", config, "c1", result);
    check_error(run, 105, "interface eth0 is not in ");
    CHECK(ruleset().empty());
    node.spaces.remove_container("c1");
    check_error(node.run("RECONCILE", config, "c1", result), 8, "failed to open netns");
    CHECK(ruleset().empty());
  }
}

TEST_CASE("RECONCILE wants the result of ADD and another namespace than the host's",
          "[netns][nft]") {
  require_program("nft");
  PluginNode node;
  node.spaces.container("c1");
  const json config = config_of("ptp");
  const json result = node.add(config);
  run_ok({"nft", "flush", "ruleset"});
  check_error(node.run("RECONCILE", config), 7, "Required prevResult missing");
  Call call;
  call.command = "RECONCILE";
  call.container_id = "c1";
  call.netns = "/proc/self/ns/net";
  json input = config;
  input.update({{"cniVersion", "1.1.0"}, {"name", "testnet"}, {"prevResult", result}});
  call.input = input.dump();
  check_error(call_in_process(plugin_named("ptp"), call), 8,
              "plugin's netns and netns from CNI_NETNS should not be the same");
  CHECK(ruleset().empty());
}

TEST_CASE("RECONCILE of a network without masquerade does nothing", "[netns][nft]") {
  require_program("nft");
  PluginNode node;
  node.spaces.container("c1");
  json config = config_of("bridge");
  config.erase("ipMasq");
  const json result = node.add(config);
  const PluginRun run = node.run("RECONCILE", config, "c1", result);
  INFO(run.describe());
  REQUIRE(run.ok());
  CHECK(restored(run).empty());
  CHECK(ruleset().empty());
}

}  // namespace
}  // namespace cni::test
