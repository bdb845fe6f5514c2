// RECONCILE of the plugins that masquerade.
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

std::string ruleset() { return run_ok({"nft", "-s", "-a", "list", "ruleset"}); }

std::vector<std::string> restored(const PluginRun& run) {
  std::vector<std::string> out;
  for (const json& each : run.document.at("restored")) out.push_back(each.at("what"));
  return out;
}

using Texts = std::vector<std::string>;

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
