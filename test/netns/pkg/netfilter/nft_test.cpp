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
