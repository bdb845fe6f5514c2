// UPDATE of bandwidth: the limits of a running container change, its connections stay.
#include <algorithm>
#include <chrono>

#include "test/netns/plugins/meta/bandwidth_node.hpp"
#include "test/support/snapshot.hpp"
#include "test/support/transfer.hpp"

using namespace cni::test;

namespace {

constexpr auto kWindow = std::chrono::milliseconds(1000);

// From one configuration to the other, with the result of the chain.
json update_of(const json& was, const json& now, const json& result) {
  json out = now;
  out["prevResult"] = result;
  json previous = was;
  previous.update({{"cniVersion", "1.1.0"}, {"name", "testnet"}});
  out["cni.dev/update"] = {{"previous", previous}};
  return out;
}

json update(BandwidthNode& node, const json& was, const json& now, const json& result) {
  const PluginRun run = node.run("UPDATE", update_of(was, now, result));
  INFO(run.describe());
  REQUIRE(run.ok());
  CHECK(run.document.at("changed").size() > 0);
  return run.document.at("result");
}

json limits(std::uint64_t ingress, std::uint64_t egress) {
  json out = json::object();
  if (ingress != 0) out["ingressRate"] = ingress;
  if (egress != 0) out["egressRate"] = egress;
  return BandwidthNode::config(out);
}

// All the shapes that an attachment can have.
std::vector<json> shapes() {
  json htb = limits(8 * kMbit, 12 * kMbit);
  htb["qdisc"] = "htb";
  json other_htb = htb;
  other_htb["ingressRate"] = 9 * kMbit;
  json networks = limits(8 * kMbit, 12 * kMbit);
  networks["unshapedSubnets"] = {"10.0.0.0/8"};
  json other_networks = limits(8 * kMbit, 12 * kMbit);
  other_networks["shapedSubnets"] = {"10.0.0.0/8", "fd00::/8"};
  return {limits(0, 0),
          limits(8 * kMbit, 0),
          limits(0, 8 * kMbit),
          limits(8 * kMbit, 12 * kMbit),
          limits(24 * kMbit, 4 * kMbit),
          htb,
          other_htb,
          networks,
          other_networks};
}

json without_prev_result(json config) {
  config.erase("prevResult");
  return config;
}

}  // namespace

TEST_CASE("UPDATE of bandwidth leads from every shape to every other", "[netns][kind:ifb]") {
  BandwidthNode node;
  const Snapshot before = take({"c1"});
  for (const json& was : shapes()) {
    for (const json& now : shapes()) {
      if (was == now) continue;
      INFO(without_prev_result(was).dump() << " to " << without_prev_result(now).dump());
      const json first = node.add(was);
      const json second = update(node, was, now, first);
      json checked = now;
      node.check(checked, second);
      // As if ADD had made it, but for the digits of a MAC address.
      const Snapshot updated = take({"c1"});
      node.del(now, "c1", second);
      CHECK(diff(before, take({"c1"})) == "");
      const json fresh = node.add(now);
      CHECK(fresh.at("interfaces").size() == second.at("interfaces").size());
      const Snapshot added = take({"c1"});
      CHECK(added.lines.size() == updated.lines.size());
      node.del(now, "c1", fresh);
    }
  }
}

TEST_CASE("UPDATE of bandwidth may be repeated and undone", "[netns][kind:ifb]") {
  BandwidthNode node;
  const json was = limits(8 * kMbit, 12 * kMbit);
  for (const json& now : shapes()) {
    if (was == now) continue;
    INFO(without_prev_result(now).dump());
    const json result = node.add(was);
    json twice = update(node, was, now, result);
    twice = update(node, was, now, result);
    node.check(now, twice);
    const json back = update(node, now, was, twice);
    node.check(was, back);
    CHECK(back.at("interfaces").size() == result.at("interfaces").size());
    node.del(was, "c1", back);
  }
}

TEST_CASE("an UPDATE of bandwidth that fails puts the limits back", "[netns][kind:ifb]") {
  BandwidthNode node;
  for (const json& was : shapes()) {
    for (const json& now : shapes()) {
      if (was == now) continue;
      INFO(without_prev_result(was).dump() << " to " << without_prev_result(now).dump());
      const json result = node.add(was);
      json whole = update_of(was, now, result);
      whole.update({{"cniVersion", "1.1.0"}, {"name", "testnet"}});
      Call call;
      call.command = "UPDATE";
      call.container_id = "c1";
      call.netns = "/run/netns/c1";
      call.input = whole.dump();
      Hooks hooks;
      hooks.before_print = [] { throw cni::Error(cni::Code::kInternal, "the probe"); };
      const PluginRun run = call_in_process(plugin_named("bandwidth"), call, hooks);
      INFO(run.describe());
      check_error(run, 999, "the probe");
      node.check(was, result);
      node.del(was, "c1", result);
    }
  }
}

TEST_CASE("a connection survives that its rate changes", "[netns][kind:ifb]") {
  BandwidthNode node;
  const json slow = limits(16 * kMbit, 16 * kMbit);
  const json fast = limits(48 * kMbit, 48 * kMbit);
  const json result = node.add(slow);
  const auto inside = cni::ns::Netns::open("/run/netns/c1");
  const auto outside = cni::ns::Netns::current();
  for (const bool is_ingress : {true, false}) {
    Transfer transfer(Transfer::Kind::kTcp, is_ingress ? outside : inside,
                      is_ingress ? inside : outside, is_ingress ? "10.70.0.2" : "10.70.0.1");
    CHECK(transfer.received_in(kWindow) < 110 * 16 * kMbit / 8 / 100);
    (void)update(node, slow, fast, result);
    // A loaded machine may need a moment.
    std::uint64_t most = 0;
    for (int attempt = 0; attempt < 4 && most < 85 * 48 * kMbit / 8 / 100; ++attempt) {
      const std::uint64_t got = transfer.received_in(kWindow);
      CHECK(got < 110 * 48 * kMbit / 8 / 100);
      most = std::max(most, got);
    }
    CHECK(most >= 85 * 48 * kMbit / 8 / 100);
    (void)update(node, fast, slow, result);
    // What was sent before may still be on its way.
    (void)transfer.received_in(std::chrono::milliseconds(100));
    CHECK(transfer.received_in(kWindow) < 110 * 16 * kMbit / 8 / 100);
  }
}

TEST_CASE("UPDATE of bandwidth refuses what ADD would refuse", "[netns][kind:ifb]") {
  BandwidthNode node;
  const json was = limits(8 * kMbit, 0);
  const json result = node.add(was);
  json now = was;
  now["ingressRate"] = 7;
  check_error(node.run("UPDATE", update_of(was, now, result)), 7,
              "failed to parse network configuration: ingressRate: 7 bits a second");
  node.check(was, result);
}
