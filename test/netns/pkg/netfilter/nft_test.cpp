// The nftables layer itself: transactions, look-ups, the probe. nft is the oracle.
#include "pkg/netfilter/nft.hpp"

#include <linux/netfilter.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/netns_fixture.hpp"

using namespace cni;
using namespace cni::netfilter;
using namespace cni::test;

namespace {

const NftTable kTable{NftFamily::kInet, "t"};

netlink::Socket open_netfilter() { return netlink::Socket::open(netlink::Protocol::kNetfilter); }

int commit_errno(NftTransaction& transaction, netlink::Socket& socket) {
  try {
    transaction.commit(socket, "test");
    return 0;
  } catch (const Error& error) {
    return error.sys_errno;
  }
}

}  // namespace

TEST_CASE("the probe says that nftables can be used and changes nothing", "[netns][nft]") {
  require_root_or_skip();
  require_program("nft");
  Namespaces spaces;
  netlink::Socket socket = open_netfilter();
  CHECK(nft_usable(socket));
  CHECK(run_ok({"nft", "list", "ruleset"}).empty());
}

TEST_CASE("the probe says that nftables cannot be used without privileges", "[netns][nft]") {
  require_root_or_skip();
  Namespaces spaces;
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    if (::setuid(65534) != 0) ::_exit(2);
    netlink::Socket socket = open_netfilter();
    ::_exit(nft_usable(socket) ? 1 : 0);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("a transaction is applied as a whole or not at all", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  netlink::Socket socket = open_netfilter();
  NftTransaction broken(kTable);
  broken.add_table("a comment").add_chain({"c", {}, {}}).delete_chain("absent");
  CHECK(commit_errno(broken, socket) == ENOENT);
  CHECK(run_ok({"nft", "list", "ruleset"}).empty());
  CHECK_FALSE(nft_table_exists(socket, kTable));

  NftTransaction empty(kTable);
  CHECK(empty.empty());
  CHECK(commit_errno(empty, socket) == 0);
  CHECK(run_ok({"nft", "list", "ruleset"}).empty());
}

TEST_CASE("nft prints what was made of every kind", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  netlink::Socket socket = open_netfilter();
  NftTransaction transaction(kTable);
  transaction.add_table("a table");
  transaction.add_chain({"target", {}, {}});
  transaction.add_chain({"base", NftHook{"filter", NF_INET_FORWARD, -5}, {}});
  transaction.add_set({"verdicts", {NftType::kIpv4Address}, {}, true, "a verdict map"},
                      NftCreate::kExclusive);
  transaction.add_set({"data", {NftType::kIpv6Address}, {NftType::kIpv4Address}, false, {}},
                      NftCreate::kExclusive);
  const std::string key = NftKey().ip(*Ip::parse("192.0.2.1")).take();
  transaction.add_element("verdicts",
                          {key, {}, NftVerdict{NftVerdict::Kind::kGoto, "target"}, "an element"},
                          NftCreate::kExclusive);
  transaction.add_element("data", {NftKey().ip(*Ip::parse("2001:db8::1")).take(), key, {}, {}},
                          NftCreate::kExclusive);
  const auto network = *Prefix::parse("10.128.0.0/9");
  const auto network6 = *Prefix::parse("fd00::/65");
  transaction.append_rule("base", nft_rule({nft_match_network(NftField::kIpv4Source, network, true),
                                            {NftVerdict{NftVerdict::Kind::kJump, "target"}}},
                                           "second"));
  transaction.prepend_rule("base",
                           nft_rule({nft_match_network(NftField::kIpv6Destination, network6, false),
                                     {NftVerdict{NftVerdict::Kind::kAccept, {}}}},
                                    "first"));
  transaction.commit(socket, "test");
  CHECK(run_ok({"nft", "list", "ruleset"}) == R"(table inet t {
	comment "a table"
	map verdicts {
		type ipv4_addr : verdict
		comment "a verdict map"
		elements = { 192.0.2.1 comment "an element" : goto target }
	}

	map data {
		type ipv6_addr : ipv4_addr
		elements = { 2001:db8::1 : 192.0.2.1 }
	}

	chain target {
	}

	chain base {
		type filter hook forward priority filter - 5; policy accept;
		ip6 daddr != fd00::/65 accept comment "first"
		ip saddr 10.128.0.0/9 jump target comment "second"
	}
}
)");

  const auto element = nft_find_element(socket, kTable, "verdicts", key);
  REQUIRE(element);
  CHECK(element->comment == "an element");
  CHECK(element->verdict == NftVerdict{NftVerdict::Kind::kGoto, "target"});
  CHECK(nft_list_elements(socket, kTable, "data").size() == 1);
  const std::vector<NftRuleInfo> rules = nft_list_rules(socket, kTable, "base");
  REQUIRE(rules.size() == 2);
  CHECK(rules[1].comment == "second");
  CHECK(rules[1].target == "target");
  CHECK(nft_chain_use(socket, kTable, "base") == 2U);
  CHECK(nft_chain_use(socket, kTable, "target") == 2U);
  CHECK(nft_list_sets(socket, kTable, "ver") == std::vector<std::string>{"verdicts"});
  CHECK(nft_list_chains(socket, kTable, "").size() == 2);
}

TEST_CASE("what is absent is found to be absent", "[netns][nft]") {
  require_program("nft");
  const bool with_table = GENERATE(false, true);
  Namespaces spaces;
  if (with_table) run_ok({"nft", "add", "table", "inet", "t"});
  netlink::Socket socket = open_netfilter();
  CHECK(nft_table_exists(socket, kTable) == with_table);
  CHECK_FALSE(nft_chain_use(socket, kTable, "c"));
  CHECK(nft_list_chains(socket, kTable, "").empty());
  CHECK(nft_list_sets(socket, kTable, "").empty());
  CHECK(nft_list_rules(socket, kTable, "c").empty());
  CHECK(nft_list_elements(socket, kTable, "s").empty());
  CHECK_FALSE(nft_find_element(socket, kTable, "s", "1234"));
}

TEST_CASE("exclusive creation is refused for what exists and plain creation is not",
          "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  netlink::Socket socket = open_netfilter();
  const auto create = [&](NftCreate mode) {
    NftTransaction transaction(kTable);
    transaction.add_table({}).add_chain({"c", {}, {}});
    transaction.add_set({"s", {NftType::kIfname}, {}, false, {}}, mode);
    transaction.add_element("s", {NftKey().ifname("eth0").take(), {}, {}, {}}, mode);
    return commit_errno(transaction, socket);
  };
  CHECK(create(NftCreate::kExclusive) == 0);
  CHECK(create(NftCreate::kIfAbsent) == 0);
  CHECK(create(NftCreate::kExclusive) == EEXIST);
}

TEST_CASE("a chain that stays in use is given up as busy after some attempts", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  run_ok({"nft", "-f", "-"}, "table inet t {\nchain used {\n}\nchain user {\njump used\n}\n}\n");
  netlink::Socket socket = open_netfilter();
  NftTransaction transaction(kTable);
  transaction.delete_chain("used");
  try {
    transaction.commit(socket, "remove chain used");
    FAIL("removed");
  } catch (const Error& error) {
    CHECK(error.code == Code::kTryAgainLater);
    CHECK(error.sys_errno == EBUSY);
    CHECK(error.msg.starts_with("remove chain used: "));
  }
}

TEST_CASE("a listing that does not fit one answer is complete", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  std::string script = "table inet t {\nset s {\ntype ipv4_addr\n}\nchain c {\n";
  for (int i = 0; i < 1000; ++i) script += "ip saddr 192.0.2.1 drop\n";
  script += "}\n}\nadd element inet t s {";
  for (int i = 0; i < 3000; ++i) script += cat("10.0.", i / 250, ".", i % 250, ",");
  run_ok({"nft", "-f", "-"}, script + "}\n");
  netlink::Socket socket = open_netfilter();
  CHECK(nft_list_rules(socket, kTable, "c").size() == 1000);
  CHECK(nft_list_elements(socket, kTable, "s").size() == 3000);
}

TEST_CASE("nft prints maps of ports and the rules that look them up", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  netlink::Socket socket = open_netfilter();
  using Result = NftLookup::Result;
  constexpr std::uint32_t kFirst = kNftFirstSmallRegister;
  const NftVerdict accept{NftVerdict::Kind::kAccept, {}};
  NftTransaction transaction({NftFamily::kIpv4, "four"});
  transaction.add_table({});
  transaction.add_set({"ports",
                       {NftType::kInetProtocol, NftType::kInetService},
                       {NftType::kIpv4Address, NftType::kInetService},
                       false,
                       {}},
                      NftCreate::kExclusive);
  transaction.add_set({"guards", {NftType::kInetService}, {}, true, {}}, NftCreate::kExclusive);
  const NftSet ranges{
      "ranges", {NftType::kIpv4Address, NftType::kInetProtocol, NftType::kInetService},
      {},       false,
      {},       true};
  transaction.add_set(ranges, NftCreate::kExclusive);
  transaction.add_chain({"guard", {}, {}});
  transaction.add_chain({"nat", NftHook{"nat", NF_INET_PRE_ROUTING, -99}, {}});
  transaction.add_chain({"forward", NftHook{"filter", NF_INET_FORWARD, 0}, {}});
  transaction.append_rule("nat",
                          nft_rule({{NftDestinationType{}, NftCompare{nft_number(2)}, accept}}));
  transaction.append_rule(
      "nat", nft_rule({{NftLoad{NftField::kL4Protocol, kFirst},
                        NftLoad{NftField::kDestinationPort, kFirst + 1},
                        NftLookup{"ports", Result::kData}, NftDestinationNat{Family::kIpv4}}}));
  transaction.append_rule("nat", nft_rule({{NftLoad{NftField::kL4Protocol}, NftCompare{{6}},
                                            NftLoad{NftField::kDestinationPort},
                                            NftLookup{"guards", Result::kVerdict}}}));
  transaction.append_rule(
      "forward", nft_rule({{NftConnection{NftConnection::Key::kState}, NftMask{nft_number(6)},
                            NftCompare{nft_number(0), false}, NftLoad{NftField::kOifname},
                            NftCompare{nft_ifname("lo")}, accept}}));
  transaction.append_rule("forward", nft_rule({{NftLoad{NftField::kIpv4Destination, kFirst},
                                                NftLoad{NftField::kL4Protocol, kFirst + 1},
                                                NftLoad{NftField::kDestinationPort, kFirst + 2},
                                                NftLookup{"ranges"}, accept}}));
  const Ip address = *Ip::parse("192.0.2.1");
  const std::string port = NftKey().protocol(6).port(8080).take();
  transaction.add_element("ports", {port, NftKey().ip(address).port(80).take(), {}, {}},
                          NftCreate::kExclusive);
  transaction.add_element(
      "guards", {NftKey().port(443).take(), {}, NftVerdict{NftVerdict::Kind::kJump, "guard"}, {}},
      NftCreate::kExclusive);
  transaction.add_element("ranges",
                          {NftKey().ip(address).protocol(6).port(80).take(),
                           {},
                           {},
                           {},
                           NftKey().ip(*Ip::parse("192.0.2.7")).protocol(6).port(90).take()},
                          NftCreate::kExclusive);
  // The same transaction goes on with another table.
  transaction.on({NftFamily::kIpv6, "six"}).add_table({});
  transaction.add_set(
      {"ports", {NftType::kInetService}, {NftType::kIpv6Address, NftType::kInetService}, false, {}},
      NftCreate::kExclusive);
  transaction.add_chain({"nat", NftHook{"nat", NF_INET_LOCAL_OUT, -99}, {}});
  transaction.append_rule(
      "nat", nft_rule({{NftLoad{NftField::kL4Protocol}, NftCompare{{17}},
                        NftLoad{NftField::kDestinationPort}, NftLookup{"ports", Result::kData},
                        NftDestinationNat{Family::kIpv6}}}));
  transaction.commit(socket, "test");
  CHECK(run_ok({"nft", "list", "ruleset"}) == R"(table ip four {
	map ports {
		type inet_proto . inet_service : ipv4_addr . inet_service
		elements = { tcp . 8080 : 192.0.2.1 . 80 }
	}

	map guards {
		type inet_service : verdict
		elements = { 443 : jump guard }
	}

	set ranges {
		type ipv4_addr . inet_proto . inet_service
		flags interval
		elements = { 192.0.2.1-192.0.2.7 . tcp . 80-90 }
	}

	chain guard {
	}

	chain nat {
		type nat hook prerouting priority dstnat + 1; policy accept;
		fib daddr type local accept
		dnat ip to meta l4proto . th dport map @ports
		tcp dport vmap @guards
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state established,related oifname "lo" accept
		ip daddr . meta l4proto . th dport @ranges accept
	}
}
table ip6 six {
	map ports {
		type inet_service : ipv6_addr . inet_service
	}

	chain nat {
		type nat hook output priority -99; policy accept;
		dnat ip6 to udp dport map @ports
	}
}
)");
}

TEST_CASE("thousands of elements go with one transaction", "[netns][nft]") {
  Namespaces spaces;
  netlink::Socket socket = open_netfilter();
  std::vector<NftElement> elements;
  std::vector<std::string> keys;
  for (std::uint16_t port = 1; port <= 5000; ++port) {
    keys.push_back(NftKey().port(port).take());
    elements.push_back({keys.back(), {}, {}, std::string(120, 'c')});
  }
  NftTransaction transaction(kTable);
  transaction.add_table({}).add_set({"s", {NftType::kInetService}, {}, false, {}},
                                    NftCreate::kExclusive);
  transaction.add_elements("s", elements, NftCreate::kExclusive);
  transaction.commit(socket, "test");
  CHECK(nft_list_elements(socket, kTable, "s").size() == 5000);
  NftTransaction removal(kTable);
  removal.delete_elements("s", keys);
  removal.commit(socket, "test");
  CHECK(nft_list_elements(socket, kTable, "s").empty());
}
