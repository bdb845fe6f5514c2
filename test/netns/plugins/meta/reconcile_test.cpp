// RECONCILE of portmap and firewall.
#include "test/netns/plugins/meta/firewall_node.hpp"
#include "test/netns/plugins/reconciliation.hpp"
#include "test/support/catch.hpp"
#include "test/support/publishing_node.hpp"

namespace cni::test {
namespace {

const Texts kFlushAll = {"nft", "flush", "ruleset"};

struct Row {
  const char* backend;
  std::vector<Texts> removal;
};

const std::vector<Row> kRemovals = {
    {"nftables", {kFlushAll}},
    {"iptables", {kFlushAll}},
    {"iptables", {{"iptables", "-t", "nat", "-F"}, {"ip6tables", "-t", "nat", "-F"}}},
    {"iptables", {{"ip6tables", "-t", "nat", "-F"}}}};

TEST_CASE("RECONCILE publishes ports again and touches nothing that is right", "[netns][nft]") {
  for (const char* program : {"nft", "iptables", "ip6tables"}) require_program(program);
  for (const Row& row : kRemovals) {
    INFO(row.backend << ": " << json(row.removal).dump());
    const PublishingNode node(ContainerNetwork::kBridge);
    // Each container has the port on one address of each family.
    const auto config_of = [&](const std::string& ipv4, const std::string& ipv6) {
      const json mappings = json::array({mapping("tcp", ipv4), mapping("udp", ipv6)});
      return json{{"backend", row.backend}, {"runtimeConfig", {{"portMappings", mappings}}}};
    };
    const json first = config_of("192.0.2.1", "2001:db8:1::1");
    const json second = config_of("192.0.2.101", "2001:db8:1::101");
    const auto answer = [&](int transport, const std::string& address) {
      const Question question{
          .transport = transport, .address = address, .port = PublishingNode::kHostPort};
      const std::string text = ask(node.netns("remote"), question);
      return text.substr(0, text.find(' '));
    };
    node.publish(first, "c1");
    node.publish(second, "c2");
    const Texts before = rules();
    for (const Texts& command : row.removal) run_ok(command);
    CHECK(answer(IPPROTO_UDP, "2001:db8:1::1") == "host");

    CHECK(restored(node.portmap("RECONCILE", first, "c1")) == Texts{"published ports"});
    CHECK(restored(node.portmap("RECONCILE", second, "c2")) == Texts{"published ports"});
    CHECK(rules() == before);
    CHECK(answer(IPPROTO_TCP, "192.0.2.1") == "c1");
    CHECK(answer(IPPROTO_TCP, "192.0.2.101") == "c2");
    CHECK(answer(IPPROTO_UDP, "2001:db8:1::1") == "c1");
    CHECK(answer(IPPROTO_UDP, "2001:db8:1::101") == "c2");
    const std::string after = ruleset();
    CHECK(restored(node.portmap("RECONCILE", first, "c1")).empty());
    CHECK(restored(node.portmap("RECONCILE", second, "c2")).empty());
    CHECK(ruleset() == after);
  }
}

TEST_CASE("RECONCILE puts the guard of 127.0.0.1 up again", "[netns][nft]") {
  require_program("nft");
  for (const std::string backend : {"iptables", "nftables"}) {
    INFO(backend);
    const PublishingNode node(ContainerNetwork::kBridge);
    const json config = {{"backend", backend},
                         {"runtimeConfig", {{"portMappings", json::array({mapping("tcp", "")})}}}};
    node.publish(config, "c1");
    const Texts before = rules();
    run_ok({"nft", "delete", "chain", "ip", "cni_hostport", "loopback_guard"});
    // With iptables the ports could be the reference plugins', which have no guard.
    CHECK(node.portmap("CHECK", config, "c1").ok() == (backend == "iptables"));
    const Texts what = {backend == "iptables" ? "guard of 127.0.0.1" : "published ports"};
    CHECK(restored(node.portmap("RECONCILE", config, "c1")) == what);
    CHECK(rules() == before);
    CHECK(restored(node.portmap("RECONCILE", config, "c1")).empty());
  }
}

TEST_CASE("RECONCILE restores the firewall and its policy", "[netns][nft]") {
  require_program("nft");
  for (const std::string backend : {"iptables", "nftables"}) {
    for (const std::string policy : {"open", "same-bridge", "isolated"}) {
      INFO(backend << ", " << policy);
      FirewallNode node;
      json config = FirewallNode::config(1, policy);
      config["backend"] = backend;
      const json first = node.attach("c1", 1);
      const json second = node.attach("c2", 1);
      node.add(config, "c1", first);
      node.add(config, "c2", second);
      const Texts before = rules();
      CHECK(restored(node.firewall("RECONCILE", config, "c1", first)).empty());
      run_ok(kFlushAll);
      CHECK(restored(node.firewall("RECONCILE", config, "c1", first)) == Texts{"firewall rules"});
      CHECK(restored(node.firewall("RECONCILE", config, "c2", second)) == Texts{"firewall rules"});
      CHECK(rules() == before);
      const std::string after = ruleset();
      CHECK(restored(node.firewall("RECONCILE", config, "c1", first)).empty());
      CHECK(restored(node.firewall("RECONCILE", config, "c2", second)).empty());
      CHECK(ruleset() == after);
      FirewallNode::expect_ok(node.firewall("CHECK", config, "c1", first));
    }
  }
}

}  // namespace
}  // namespace cni::test
