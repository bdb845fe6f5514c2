// What the nftables firewall keeps in the kernel: layout, removal, garbage collection, repair.
#include "test/netns/pkg/netfilter/firewall_fixture.hpp"

using namespace cni;
using namespace cni::netfilter;
using namespace cni::test;

namespace {

// With everything that an attachment can have.
FirewallSpec full_spec(const std::string& container) {
  FirewallSpec out = firewall_spec(container, IngressPolicy::kIsolated);
  out.egress_deny = {egress_rule("192.0.2.0/24"), egress_rule("2001:db8::/32", Transport::kTcp),
                     egress_rule("203.0.113.0/24", Transport::kTcp, 80, 90)};
  out.egress_allow = {egress_rule("192.0.2.2/32", Transport::kUdp, 53)};
  return out;
}

void collect_garbage(const std::string& network, const std::vector<Attachment>& valid) {
  Connection connection;
  NftFirewall::gc(connection.get(), network, valid);
}

bool is_in_ruleset(const std::string& text) { return ruleset().find(text) != std::string::npos; }

// What DEL leaves: the tables with the rules and sets that all attachments share. Made by an
// attachment that had everything.
std::string shared_ruleset() {
  add_nft(full_spec("a1"));
  remove_nft(full_spec("a1"));
  return ruleset();
}

}  // namespace

TEST_CASE("nftables reads the firewall's listing back", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  add_nft(full_spec("a1"));
  add_nft(full_spec("b1"));
  const std::string listing = ruleset();
  INFO(listing);
  for (const std::string text :
       {"type filter hook forward priority filter - 10; policy accept;", "jump admin",
        "ct state established,related ip daddr @containers_ipv4 accept",
        "ip6 saddr @containers_ipv6 accept", "iifname @bridges oifname @bridges drop",
        "ip daddr . meta l4proto @", "reject with icmpx admin-prohibited",
        "ct direction reply return", "iifname @isolated_ports oifname @isolated_ports drop",
        "net: net-a, if: eth0, id: a1", "203.0.113.0/24 . tcp . 80-90"}) {
    CAPTURE(text);
    CHECK(listing.find(text) != std::string::npos);
  }
  CHECK(nft({"-j", "list", "ruleset"}).at("nftables").size() > 30);
  run_ok({"nft", "flush", "ruleset"});
  run_ok({"nft", "-f", "-"}, listing);
  CHECK(ruleset() == listing);
  CHECK(nft_check_failure(full_spec("a1")).empty());
}

TEST_CASE("the last DEL leaves only what all attachments share", "[netns][nft]") {
  require_program("nft");
  const bool is_known = GENERATE(true, false);
  CAPTURE(is_known);
  Namespaces spaces;
  remove_nft(full_spec("a1"));
  CHECK(ruleset().empty());
  const std::string before = shared_ruleset();
  CHECK(before.find("elements =") == std::string::npos);
  CHECK(before.find("uses_") == std::string::npos);
  CHECK(before.find("egress_") == std::string::npos);

  for (const std::string container : {"a1", "a2", "b1"}) add_nft(full_spec(container));
  const std::string all = ruleset();
  for (const std::string container : {"a1", "a2", "b1"}) add_nft(full_spec(container));
  CHECK(ruleset() == all);
  for (const std::string container : {"a1", "b1", "a2"}) {
    const FirewallSpec spec = full_spec(container);
    remove_nft(is_known ? spec : only_owner(spec));
    remove_nft(is_known ? spec : only_owner(spec));
    if (container != "a2") CHECK(nft_check_failure(full_spec("a2")).empty());
  }
  CHECK(ruleset() == before);
}

TEST_CASE("an ADD with less than the one before takes the rest away", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  add_nft(firewall_spec("a1"));
  const std::string open = ruleset();
  add_nft(full_spec("a1"));
  CHECK(nft_check_failure(full_spec("a1")).empty());
  add_nft(firewall_spec("a1", IngressPolicy::kSameBridge));
  CHECK_FALSE(is_in_ruleset("uses_isolated"));
  CHECK(nft_check_failure(firewall_spec("a1", IngressPolicy::kSameBridge)).empty());
  CHECK_FALSE(nft_check_failure(full_spec("a1")).empty());
  add_nft(firewall_spec("a1"));
  for (const std::string gone : {"uses_", "egress_", "\"va1\"", "\"cni-a\""}) {
    CAPTURE(gone);
    CHECK_FALSE(is_in_ruleset(gone));
  }
  CHECK(nft_check_failure(firewall_spec("a1")).empty());
}

TEST_CASE("DEL leaves an address alone that another container has by now", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  add_nft(full_spec("a1"));
  FirewallSpec successor = full_spec("a1");
  successor.owner.container_id = "successor";
  add_nft(successor);
  CHECK(nft_check_failure(full_spec("a1")).find("for another attachment: container successor") !=
        std::string::npos);
  remove_nft(full_spec("a1"));
  CHECK(nft_check_failure(successor).empty());
}

TEST_CASE("odd names of bridges and networks are read back", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  FirewallSpec spec = full_spec("a1");
  spec.bridge = "br+1@\xc3\xa4.5-_";
  spec.owner.network = "a \"b\" /c";
  const std::string before = shared_ruleset();
  add_nft(spec);
  const std::string listing = ruleset();
  CHECK(nft_check_failure(spec).empty());
  run_ok({"nft", "flush", "ruleset"});
  run_ok({"nft", "-f", "-"}, listing);
  CHECK(nft_check_failure(spec).empty());
  remove_nft(only_owner(spec));
  CHECK(ruleset() == before);
}

TEST_CASE("CHECK puts up with links that a later plugin has added to the result", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  FirewallSpec spec = full_spec("a1");
  add_nft(spec);
  spec.host_links.emplace_back("ifb0");
  CHECK(nft_check_failure(spec).empty());
  remove_nft(spec);
  CHECK_FALSE(is_in_ruleset("id: a1"));
}

TEST_CASE("CHECK names each object that is missing and ADD brings it back", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  const FirewallSpec spec = full_spec("a1");
  add_nft(spec);
  const std::string whole = ruleset();
  const std::string chain = "egress_" + ruleset().substr(ruleset().find("jump egress_") + 12, 16);

  struct Loss {
    std::string command;
    std::string named;
  };
  const Loss loss = GENERATE_COPY(from_range(std::vector<Loss>{
      {"delete table inet cni_firewall", "table inet cni_firewall"},
      {"delete table bridge cni_firewall", "table bridge cni_firewall"},
      {"flush chain inet cni_firewall forward", "inet cni_firewall forward"},
      {"flush chain inet cni_firewall policies", "inet cni_firewall policies"},
      {"flush chain inet cni_firewall input", "inet cni_firewall input"},
      {"flush chain inet cni_firewall egress", "does not jump to"},
      {"delete chain inet cni_firewall input", "inet cni_firewall input"},
      {"flush chain bridge cni_firewall forward", "bridge cni_firewall forward"},
      {"flush set inet cni_firewall containers_ipv4", "10.1.0.2 is not in"},
      {"flush set inet cni_firewall containers_ipv6", "fd00:1::2 is not in"},
      {"flush map inet cni_firewall attachments", "attachments"},
      {"flush map inet cni_firewall holders", "holders"},
      {"flush set inet cni_firewall bridges", "inet cni_firewall bridges"},
      {"flush set inet cni_firewall within_bridge", "inet cni_firewall within_bridge"},
      {"flush set inet cni_firewall isolated", "inet cni_firewall isolated"},
      {"flush set bridge cni_firewall isolated_ports", "port va1 is not in"},
      {"flush chain inet cni_firewall " + chain, chain + " has other rules"},
      {"flush set inet cni_firewall " + chain + "_from_ipv4", chain + "_from_ipv4"},
      {"flush set inet cni_firewall " + chain + "_to_denied_ipv4", chain + "_to_denied_ipv4"},
      {"flush set inet cni_firewall " + chain + "_to_denied_ports_ipv6",
       chain + "_to_denied_ports_ipv6"},
      {"delete element inet cni_firewall " + chain +
           "_to_denied_ports_ipv4 { 203.0.113.0/24 . tcp . 80-90 }",
       chain + "_to_denied_ports_ipv4"},
  }));
  CAPTURE(loss.command);
  run_ok({"nft", loss.command});
  const std::string failure = nft_check_failure(spec);
  CAPTURE(failure);
  CHECK(failure.find(loss.named) != std::string::npos);
  CHECK(failure.find("container a1") != std::string::npos);
  add_nft(spec);
  CHECK(nft_check_failure(spec).empty());
  // Objects made anew are listed last.
  CHECK(ruleset().size() == whole.size());
  // DEL is content with what is there, and takes it.
  run_ok({"nft", loss.command});
  remove_nft(spec);
  CHECK_FALSE(is_in_ruleset("10.1.0.2"));
}

TEST_CASE("after nft flush ruleset DEL succeeds and ADD starts anew", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  add_nft(full_spec("a1"));
  const std::string whole = ruleset();
  run_ok({"nft", "flush", "ruleset"});
  remove_nft(full_spec("a1"));
  remove_nft(only_owner(full_spec("a1")));
  collect_garbage("net-a", {});
  CHECK(ruleset().empty());
  add_nft(full_spec("a1"));
  CHECK(ruleset() == whole);
}

TEST_CASE("garbage collection removes what is not valid of one network", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  const std::string before = shared_ruleset();
  for (const std::string container : {"a1", "a2", "b1"}) add_nft(full_spec(container));
  collect_garbage("net-a", {{"a2", "eth0"}});
  CHECK_FALSE(is_in_ruleset("id: a1"));
  CHECK(nft_check_failure(full_spec("a2")).empty());
  CHECK(nft_check_failure(full_spec("b1")).empty());
  collect_garbage("net-a", {});
  CHECK_FALSE(is_in_ruleset("cni-a"));
  CHECK(nft_check_failure(full_spec("b1")).empty());
  collect_garbage("net-b", {});
  CHECK(ruleset() == before);
}
