// What bandwidth makes is what the reference plugin makes, and each checks and deletes the other's.
#include <functional>

#include "test/netns/plugins/meta/bandwidth_node.hpp"

using namespace cni::test;

namespace {

PluginRun call_reference(const char* command, const json& config) {
  json whole = config;
  whole.update({{"cniVersion", "1.0.0"}, {"name", "testnet"}});
  Call call;
  call.command = command;
  call.container_id = "c1";
  call.netns = "/run/netns/c1";
  call.input = whole.dump();
  return cni::test::call(require_reference() + "/bandwidth", call);
}

json reference_ok(const char* command, const json& config) {
  const PluginRun run = call_reference(command, config);
  INFO(run.describe());
  REQUIRE(run.ok());
  return run.document;
}

// Without what is another one each time.
json without_mac(json result) {
  for (json& interface : result.at("interfaces")) interface.erase("mac");
  return result;
}

// All that tc and ip show of queues, filters and devices, but for MAC addresses, indexes, our mark
// and the reference's second action, which no packet reaches.
std::string shown() {
  json out = json::array();
  out.push_back(tc({"-j", "-s", "qdisc", "show"}));
  for (json filter : tc({"-j", "filter", "show", "dev", "way1", "parent", "ffff:"})) {
    if (filter.contains("options") && filter["options"].contains("actions")) {
      json& actions = filter["options"]["actions"];
      json first = actions.at(0);
      first.erase("index");
      actions = json::array({first});
    }
    out.push_back(filter);
  }
  for (json link : ip({"-j", "-d", "link", "show"})) {
    for (const char* key : {"address", "ifindex", "ifalias", "link_netnsid"}) link.erase(key);
    if (link.value("ifname", "") == "lo") continue;
    out.push_back(link);
  }
  // Packets of the kernel's own pass at any time.
  std::function<void(json&)> prune = [&](json& value) {
    if (value.is_object()) {
      for (const char* key : {"bytes", "packets", "drops", "overlimits", "requeues", "backlog",
                              "qlen", "installed", "last_used"}) {
        value.erase(key);
      }
    }
    if (value.is_structured()) {
      for (json& each : value) prune(each);
    }
  };
  prune(out);
  return out.dump(1);
}

std::vector<json> sensible() {
  return {
      {{"ingressRate", 8 * kMbit}, {"ingressBurst", 800000}},
      {{"egressRate", 8 * kMbit}, {"egressBurst", 8 * kMbit}},
      {{"ingressRate", 12345678},
       {"ingressBurst", 123456},
       {"egressRate", 987654321},
       {"egressBurst", 98765432}},
      {{"ingressRate", 640000}, {"ingressBurst", 640000}},
      {{"egressRate", 100'000 * kMbit}, {"egressBurst", 2147483647}},
      {{"runtimeConfig", {{"bandwidth", {{"ingressRate", kMbit}, {"ingressBurst", kMbit / 2}}}}}},
      {{"ingressRate", 0},
       {"runtimeConfig", {{"bandwidth", {{"ingressRate", kMbit}, {"ingressBurst", kMbit}}}}}},
      json::object(),
  };
}

}  // namespace

TEST_CASE("bandwidth makes what the reference plugin makes", "[netns][kind:ifb]") {
  (void)require_reference();
  for (const json& limits : sensible()) {
    for (const char* mtu : {"1500", "9000"}) {
      INFO(limits.dump() << ", MTU " << mtu);
      std::string theirs;
      json their_result;
      {
        BandwidthNode node;
        (void)ip({"link", "set", "way1", "mtu", mtu});
        their_result = reference_ok("ADD", node.config(limits));
        theirs = shown();
      }
      BandwidthNode node;
      (void)ip({"link", "set", "way1", "mtu", mtu});
      json config = node.config(limits);
      config["cniVersion"] = "1.0.0";
      const json ours = node.add(config);
      CHECK(shown() == theirs);
      CHECK(without_mac(ours) == without_mac(their_result));
      (void)reference_ok("CHECK", node.config(limits));
    }
  }
}

TEST_CASE("bandwidth checks and deletes what the reference plugin makes of any burst",
          "[netns][kind:ifb]") {
  (void)require_reference();
  std::vector<json> all = sensible();
  all.push_back({{"ingressRate", kMbit}, {"ingressBurst", 2147483647}});
  all.push_back({{"egressRate", 10 * kMbit}, {"egressBurst", 2147483647}});
  all.push_back({{"ingressRate", 8000}, {"ingressBurst", 80}});
  for (const json& limits : all) {
    INFO(limits.dump());
    BandwidthNode node;
    const json config = node.config(limits);
    const json result = reference_ok("ADD", config);
    node.check(config, nullptr);
    node.del(config);
    CHECK(ifb_names().empty());
    CHECK(root_queue("", "way1").is_null());
    CHECK_FALSE(has_ingress("", "way1"));
  }
}

TEST_CASE("the limits that the reference plugin has made can be changed", "[netns][kind:ifb]") {
  (void)require_reference();
  BandwidthNode node;
  const json was = node.config({{"egressRate", 8 * kMbit}, {"egressBurst", 800000}});
  const json result = reference_ok("ADD", was);
  json now = node.config({{"egressRate", 16 * kMbit}});
  json update = now;
  update["prevResult"] = result;
  json previous = was;
  previous.update({{"cniVersion", "1.1.0"}, {"name", "testnet"}});
  update["cni.dev/update"] = {{"previous", previous}};
  const PluginRun run = node.run("UPDATE", update);
  INFO(run.describe());
  REQUIRE(run.ok());
  const std::string ifb = result.at("interfaces").back().at("name");
  CHECK(root_queue("", ifb).at("options").at("rate") == 2'000'000);
  node.check(now, nullptr);
  (void)reference_ok("DEL", was);
  CHECK(ifb_names().empty());
}
