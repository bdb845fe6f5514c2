// UPDATE of portmap and firewall.
#include "test/netns/plugins/meta/firewall_node.hpp"
#include "test/netns/plugins/reconciliation.hpp"
#include "test/support/catch.hpp"
#include "test/support/publishing_node.hpp"

namespace cni::test {
namespace {

json updating(json now, const json& was) {
  now["cni.dev/update"] = {{"previous", was}};
  return now;
}

json ports(const std::string& backend, const json& mappings) {
  return {{"backend", backend}, {"runtimeConfig", {{"portMappings", mappings}}}};
}

json port(int number, const std::string& protocol = "tcp") {
  json out = mapping(protocol);
  out["hostPort"] = number;
  return out;
}

std::string who_answers(const PublishingNode& node, std::uint16_t number,
                        int transport = IPPROTO_TCP, const char* address = "192.0.2.1") {
  const Question question{.transport = transport, .address = address, .port = number};
  const std::string text = ask(node.netns("remote"), question);
  return text.substr(0, text.find(' '));
}

Texts changed(const PluginRun& run) {
  INFO(run.describe());
  REQUIRE(run.ok());
  Texts out;
  for (const json& each : run.document.at("changed")) out.push_back(each.at("key"));
  return out;
}

TEST_CASE("UPDATE publishes other ports and CHECK and DEL know them", "[netns][nft]") {
  for (const char* program : {"nft", "iptables", "ip6tables"}) require_program(program);
  for (const std::string backend : {"nftables", "iptables"}) {
    INFO(backend);
    const PublishingNode node(ContainerNetwork::kBridge);
    const Texts before = rules();
    const json was = ports(backend, json::array({port(8001), port(8002)}));
    const json now = ports(backend, json::array({port(8002), port(8003), port(8003, "udp")}));
    const json none = ports(backend, json::array());
    node.publish(was);
    CHECK(who_answers(node, 8001) == "c1");

    CHECK(changed(node.portmap("UPDATE", updating(now, was))) ==
          Texts{"runtimeConfig.portMappings"});
    CHECK(who_answers(node, 8001) != "c1");
    CHECK(who_answers(node, 8002) == "c1");
    CHECK(who_answers(node, 8003) == "c1");
    CHECK(who_answers(node, 8003, IPPROTO_UDP) == "c1");
    CHECK(who_answers(node, 8003, IPPROTO_TCP, "2001:db8:1::1") == "c1");
    CHECK(node.portmap("CHECK", now).ok());
    CHECK_FALSE(node.portmap("CHECK", was).ok());

    // Again, as after an update whose end nobody has seen.
    CHECK(node.portmap("UPDATE", updating(now, was)).ok());
    CHECK(node.portmap("CHECK", now).ok());
    CHECK(node.portmap("UPDATE", updating(none, now)).ok());
    CHECK(who_answers(node, 8002) != "c1");
    CHECK(node.portmap("UPDATE", updating(was, none)).ok());
    CHECK(who_answers(node, 8001) == "c1");
    CHECK(node.portmap("CHECK", was).ok());
    node.unpublish(json{{"backend", backend}});
    CHECK(who_answers(node, 8001) != "c1");
    for (const std::string& rule : rules()) {
      INFO(rule);
      CHECK(rule.find("id: c1") == std::string::npos);
    }
  }
}

TEST_CASE("UPDATE that another container's port forbids changes nothing", "[netns][nft]") {
  for (const char* program : {"nft", "iptables", "ip6tables"}) require_program(program);
  for (const std::string backend : {"nftables", "iptables"}) {
    INFO(backend);
    const PublishingNode node(ContainerNetwork::kBridge);
    const json was = ports(backend, json::array({port(8001)}));
    const json now = ports(backend, json::array({port(8002), port(8009)}));
    node.publish(was);
    node.publish(ports(backend, json::array({port(8009)})), "c2");
    const Texts before = rules();
    const PluginRun run = node.portmap("UPDATE", updating(now, was));
    INFO(run.describe());
    CHECK_FALSE(run.ok());
    CHECK(run.document.at("msg").get<std::string>().find("8009") != std::string::npos);
    CHECK(rules() == before);
    CHECK(who_answers(node, 8001) == "c1");
    CHECK(who_answers(node, 8009) == "c2");
  }
}

TEST_CASE("a trial of UPDATE and what cannot change leave everything alone", "[netns][nft]") {
  require_program("nft");
  const PublishingNode node(ContainerNetwork::kBridge);
  const json was = ports("nftables", json::array({port(8001)}));
  node.publish(was);
  const std::string before = ruleset();
  json trial = updating(ports("nftables", json::array({port(8002)})), was);
  trial["cni.dev/update"]["trial"] = true;
  const PluginRun tried = node.portmap("UPDATE", trial);
  CHECK(changed(tried) == Texts{"runtimeConfig.portMappings"});
  CHECK_FALSE(tried.document.contains("result"));

  json other = was;
  other["backend"] = "iptables";
  const PluginRun refused = node.portmap("UPDATE", updating(other, was));
  CHECK(refused.document.at("code") == 108);
  CHECK(
      refused.document.at("msg") ==
      R"(plugin portmap cannot change backend: "nftables" to "iptables" of a running attachment)");
  CHECK(node.portmap("UPDATE", was)
            .document.at("msg")
            .get<std::string>()
            .starts_with("UPDATE needs the configuration that the attachment has"));
  json wrong = ports("nftables", json::array({port(80000)}));
  CHECK_FALSE(node.portmap("UPDATE", updating(wrong, was)).ok());
  CHECK(changed(node.portmap("UPDATE", updating(was, was))).empty());
  CHECK(ruleset() == before);
}

TEST_CASE("UPDATE changes the policy of a firewall and back", "[netns][nft]") {
  for (const std::string backend : {"nftables", "iptables"}) {
    INFO(backend);
    FirewallNode node;
    const auto config_of = [&](const std::string& policy) {
      json out = FirewallNode::config(1, policy);
      out["backend"] = backend;
      return out;
    };
    const json first = node.attach("c1", 1);
    // The policy is about containers of other bridges that have one.
    json config_of_other = FirewallNode::config(2, "same-bridge");
    config_of_other["backend"] = backend;
    node.add(config_of_other, "c2", node.attach("c2", 2));
    node.add(config_of("open"), "c1", first);
    const std::string address = "10.88.1.2";
    CHECK(FirewallNode::connects("c2", "c1", address));

    const json closing = updating(config_of("same-bridge"), config_of("open"));
    CHECK(changed(node.firewall("UPDATE", closing, "c1", first)) == Texts{"ingressPolicy"});
    CHECK_FALSE(FirewallNode::connects("c2", "c1", address));
    FirewallNode::expect_ok(node.firewall("CHECK", config_of("same-bridge"), "c1", first));

    const json opening = updating(config_of("open"), config_of("same-bridge"));
    CHECK(changed(node.firewall("UPDATE", opening, "c1", first)) == Texts{"ingressPolicy"});
    CHECK(FirewallNode::connects("c2", "c1", address));
    node.del(config_of("open"), "c1");
    CHECK(ruleset().find("10.88.1.2") == std::string::npos);
  }
}

TEST_CASE("UPDATE changes what containers may not send to", "[netns][nft]") {
  FirewallNode node;
  json was = FirewallNode::config(1, "open");
  was["backend"] = "nftables";
  json now = was;
  now["egressDeny"] = json::array({{{"to", "192.0.2.0/24"}}});
  const json result = node.attach("c1", 1);
  node.add(was, "c1", result);
  CHECK(FirewallNode::connects("c1", "outside", "192.0.2.2"));
  CHECK(changed(node.firewall("UPDATE", updating(now, was), "c1", result)) == Texts{"egressDeny"});
  CHECK_FALSE(FirewallNode::connects("c1", "outside", "192.0.2.2"));
  FirewallNode::expect_ok(node.firewall("CHECK", now, "c1", result));
  CHECK(changed(node.firewall("UPDATE", updating(was, now), "c1", result)) == Texts{"egressDeny"});
  CHECK(FirewallNode::connects("c1", "outside", "192.0.2.2"));
  node.del(was, "c1");
  CHECK(ruleset().find("192.0.2.0/24") == std::string::npos);
}

}  // namespace
}  // namespace cni::test
