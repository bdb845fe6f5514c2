// What masquerading keeps in the kernel: layout, removal, garbage collection, repair.
#include "test/netns/pkg/netfilter/masquerade_fixture.hpp"
#include "test/support/skip.hpp"
#include "test/support/temporary_folder.hpp"

using namespace cni;
using namespace cni::netfilter;
using namespace cni::test;

namespace {

constexpr const char* kComment1 =
    "d23676b4f2d9fe04-f37378035343678b, net: mynet, if: eth0, id: cont1";

// iptables-save without its dates.
std::string saved(const std::string& program) {
  std::string out;
  std::string text = run_ok({program});
  while (!text.empty()) {
    const std::size_t end = text.find('\n') + 1;
    if (text[0] != '#') out += text.substr(0, end);
    text.erase(0, end);
  }
  return out;
}

const std::string kEmptyNat =
    "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
    ":POSTROUTING ACCEPT [0:0]\n";

// Puts programs under the names of iptables before all others in the path.
std::string path_with(const Namespaces& spaces, const std::string& script) {
  for (const char* name : {"iptables", "ip6tables", "iptables-restore", "ip6tables-restore"}) {
    const std::string path = cat(spaces.folder(), "/", name);
    write_file(path, cat("#!/bin/sh\nname=", name, "\n", script, "\n"));
    run_ok({"chmod", "0755", path});
  }
  return cat(spaces.folder(), ":/usr/sbin:/usr/bin:/sbin:/bin");
}

}  // namespace

TEST_CASE("nftables shows each container with its comment and reads its own listing back",
          "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  add_committed(c1_spec("nftables"));
  const std::string ruleset = run_ok({"nft", "list", "ruleset"});
  INFO(ruleset);
  CHECK(count_in_ruleset(cat("10.22.0.2 comment \"", kComment1)) == 1);
  CHECK(count_in_ruleset(cat("fd00:22::2 comment \"", kComment1)) == 1);
  CHECK(count_in_ruleset("ip daddr != 10.22.0.0/16 masquerade") == 1);
  CHECK(count_in_ruleset("ip6 daddr != fd00:22::/64 masquerade") == 1);
  CHECK(count_in_ruleset("type nat hook postrouting priority srcnat; policy accept;") == 1);
  CHECK(count_in_ruleset("ip daddr 224.0.0.0/4 return") == 1);
  CHECK(count_in_ruleset("ip6 daddr ff00::/8 return") == 1);
  CHECK(count_in_ruleset("goto masq_checks") == 1);
  CHECK(count_in_ruleset(
            "comment \"Masquerading for plugins from github.com/containernetworking/plugins\"") ==
        1);
  CHECK(nft({"-j", "list", "ruleset"}).at("nftables").size() > 8);

  run_ok({"nft", "flush", "ruleset"});
  run_ok({"nft", "-f", "-"}, ruleset);
  CHECK(run_ok({"nft", "list", "ruleset"}) == ruleset);
  CHECK(check_failure(c1_spec("nftables")).empty());
}

TEST_CASE("iptables rules are the reference plugins' to the letter", "[netns]") {
  require_program("iptables-save");
  Namespaces spaces;
  add_committed(c1_spec("iptables"));
  const std::string comment = "-m comment --comment \"name: \\\"mynet\\\" id: \\\"cont1\\\"\"";
  const std::string chain = "CNI-c729ec77c46fa9b53d651af8";
  CHECK(saved("iptables-save") ==
        cat(kEmptyNat, ":", chain, " - [0:0]\n", "-A POSTROUTING -s 10.22.0.2/32 ", comment, " -j ",
            chain, "\n-A ", chain, " -d 10.22.0.0/16 ", comment, " -j ACCEPT\n-A ", chain,
            " ! -d 224.0.0.0/4 ", comment, " -j MASQUERADE\nCOMMIT\n"));
  CHECK(saved("ip6tables-save") ==
        cat(kEmptyNat, ":", chain, " - [0:0]\n", "-A POSTROUTING -s fd00:22::2/128 ", comment,
            " -j ", chain, "\n-A ", chain, " -d fd00:22::/64 ", comment, " -j ACCEPT\n-A ", chain,
            " ! -d ff00::/8 ", comment, " -j MASQUERADE\nCOMMIT\n"));
  remove_masquerade(c1_spec(""));
  CHECK(saved("iptables-save") == cat(kEmptyNat, "COMMIT\n"));
  CHECK(saved("ip6tables-save") == cat(kEmptyNat, "COMMIT\n"));
}

TEST_CASE("a family without addresses is not touched by iptables", "[netns]") {
  require_program("iptables-save");
  Namespaces spaces;
  add_committed(masquerade_spec("iptables", {"10.22.0.2/16"}));
  CHECK(saved("ip6tables-save").empty());
}

TEST_CASE("ADD may be repeated and DEL too", "[netns]") {
  require_program("nft");
  const std::string backend = GENERATE("iptables", "nftables");
  CAPTURE(backend);
  Namespaces spaces;
  remove_masquerade(c1_spec(""));  // nothing is there yet
  add_committed(c1_spec(backend));
  const std::string once = run_ok({"nft", "list", "ruleset"});
  add_committed(c1_spec(backend));
  CHECK(run_ok({"nft", "list", "ruleset"}) == once);
  remove_masquerade(c1_spec(""));
  remove_masquerade(c1_spec(""));
  CHECK(count_in_ruleset("10.22.0.2") == 0);
  CHECK(count_in_ruleset("fd00:22::2") == 0);
  CHECK(count_in_ruleset("CNI-") == 0);
}

TEST_CASE("DEL finds everything without knowing the addresses", "[netns]") {
  require_program("nft");
  const std::string backend = GENERATE("iptables", "nftables");
  CAPTURE(backend);
  Namespaces spaces;
  add_committed(c1_spec(backend));
  add_committed(masquerade_spec(backend, {"10.22.0.3/16", "fd00:22::3/64"}, "cont2"));
  remove_masquerade(masquerade_spec("", {}));
  CHECK(count_in_ruleset("10.22.0.2") == 0);
  CHECK(count_in_ruleset("fd00:22::2") == 0);
  CHECK(check_failure(masquerade_spec(backend, {"10.22.0.3/16", "fd00:22::3/64"}, "cont2")) == "");
}

TEST_CASE("DEL leaves an address alone that has been given to another container", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  add_committed(c1_spec("nftables"));
  // cont1 was never deleted properly; cont2 takes the address over.
  const MasqueradeSpec successor =
      masquerade_spec("nftables", {"10.22.0.2/16", "fd00:22::2/64"}, "cont2");
  add_committed(successor);
  CHECK_FALSE(check_failure(c1_spec("nftables")).empty());
  CHECK(check_failure(successor).empty());
  remove_masquerade(c1_spec(""));
  CHECK(check_failure(successor).empty());
}

TEST_CASE("a second interface of the container in the network keeps its masquerade", "[netns]") {
  require_program("nft");
  const std::string backend = GENERATE("iptables", "nftables");
  CAPTURE(backend);
  MasqueradeNode node;
  add_committed(c1_spec(backend));
  const MasqueradeSpec second =
      masquerade_spec(backend, {"10.22.0.3/16", "fd00:22::3/64"}, "cont1", "eth1");
  add_committed(second);
  remove_masquerade(c1_spec(""));
  remove_masquerade(c1_spec(""));
  CHECK(check_failure(second).empty());
  CHECK(source_seen(node.c2, node.outside,
                    {.source = {}, .destination = "192.0.2.2", .interface = {}}) == "192.0.2.1");
  CHECK(source_seen(node.c1, node.outside,
                    {.source = {}, .destination = "192.0.2.2", .interface = {}}) == "10.22.0.2");
  remove_masquerade(second);
  CHECK(count_in_ruleset("10.22.0.3") == 0);
  CHECK(count_in_ruleset("CNI-") == 0);
}

TEST_CASE("a failed ADD takes its masquerade back", "[netns]") {
  require_program("nft");
  const std::string backend = GENERATE("iptables", "nftables");
  CAPTURE(backend);
  Namespaces spaces;
  add_committed(masquerade_spec(backend, {"10.22.0.9/16", "fd00:22::9/64"}, "cont9"));
  const std::string before = run_ok({"nft", "list", "ruleset"});
  {
    os::Undo undo;
    add_masquerade(c1_spec(backend), undo);
    REQUIRE(count_in_ruleset("10.22.0.2") > 0);
    CHECK(undo.roll_back().empty());
  }
  CHECK(run_ok({"nft", "list", "ruleset"}) == before);
}

TEST_CASE("iptables ADD completes what a killed one left", "[netns]") {
  require_program("iptables-save");
  Namespaces spaces;
  add_committed(c1_spec("iptables"));
  const std::string whole = saved("iptables-save");
  run_ok({"iptables", "-t", "nat", "-F", "POSTROUTING"});
  run_ok({"iptables", "-t", "nat", "-D", "CNI-c729ec77c46fa9b53d651af8", "1"});
  CHECK_FALSE(check_failure(c1_spec("iptables")).empty());
  add_committed(c1_spec("iptables"));
  CHECK(saved("iptables-save") == whole);
}

TEST_CASE("the old form of the jump is removed too", "[netns]") {
  require_program("iptables-save");
  Namespaces spaces;
  add_committed(c1_spec("iptables"));
  run_ok({"iptables", "-t", "nat", "-A", "POSTROUTING", "-s", "10.22.0.2/16", "-j",
          "CNI-c729ec77c46fa9b53d651af8"});
  remove_masquerade(c1_spec(""));
  CHECK(saved("iptables-save") == cat(kEmptyNat, "COMMIT\n"));
}

TEST_CASE("masquerade works again after somebody flushed the rules", "[netns][nft]") {
  require_program("nft");
  const std::string damage = GENERATE("flush ruleset", "flush table inet cni_plugins_masquerade",
                                      "flush chain inet cni_plugins_masquerade masq_checks",
                                      "flush chain inet cni_plugins_masquerade postrouting",
                                      // Only what excepts multicast is lost.
                                      "flush chain inet cni_plugins_masquerade postrouting\n"
                                      "add rule inet cni_plugins_masquerade postrouting goto "
                                      "masq_checks",
                                      "flush set inet cni_plugins_masquerade "
                                      "containers_10.22.0.0/16");
  CAPTURE(damage);
  MasqueradeNode node;
  add_committed(c1_spec("nftables"));
  run_ok({"nft", "-f", "-"}, damage + "\n");
  CHECK_FALSE(check_failure(c1_spec("nftables")).empty());
  const MasqueradeSpec next =
      masquerade_spec("nftables", {"10.22.0.3/16", "fd00:22::3/64"}, "cont2");
  add_committed(next);
  CHECK(check_failure(next).empty());
  CHECK(source_seen(node.c2, node.outside,
                    {.source = {}, .destination = "192.0.2.2", .interface = {}}) == "192.0.2.1");
  CHECK(source_seen(node.c2, node.outside,
                    {.source = {}, .destination = "2001:db8::2", .interface = {}}) ==
        "2001:db8::1");
  remove_masquerade(c1_spec(""));
  CHECK(count_in_ruleset("10.22.0.2") == 0);
}

TEST_CASE("CHECK names what is missing", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  add_committed(c1_spec("nftables"));
  run_ok({"nft", "delete", "element", "inet", "cni_plugins_masquerade", "containers_fd00-22--/64",
          "{ fd00:22::2 }"});
  const std::string failure = check_failure(c1_spec("nftables"));
  CHECK(failure.find("fd00:22::2") != std::string::npos);
  CHECK(failure.find("containers_fd00-22--/64") != std::string::npos);
}

TEST_CASE("GC removes what is not valid in its network and nothing else", "[netns]") {
  require_program("nft");
  const std::string backend = GENERATE("iptables", "nftables");
  CAPTURE(backend);
  Namespaces spaces;
  add_committed(c1_spec(backend));
  add_committed(masquerade_spec(backend, {"10.22.0.3/16"}, "cont2"));
  add_committed(masquerade_spec(backend, {"10.22.0.4/16", "fd00:22::4/64"}, "cont3"));
  add_committed(masquerade_spec(backend, {"10.22.0.5/16"}, "cont3", "eth0", "mynet2"));
  const std::vector<Attachment> valid = {{"cont1", "eth0"}};
  gc_masquerade("mynet", valid, "/usr/sbin:/sbin");
  CHECK(check_failure(c1_spec(backend)).empty());
  CHECK(check_failure(masquerade_spec(backend, {"10.22.0.5/16"}, "cont3", "eth0", "mynet2")) == "");
  CHECK(count_in_ruleset("10.22.0.3") == 0);
  CHECK(count_in_ruleset("10.22.0.4") == 0);
  CHECK(count_in_ruleset("fd00:22::4") == 0);
  gc_masquerade("mynet", {}, "/usr/sbin:/sbin");
  CHECK(count_in_ruleset("10.22.0.2") == 0);
  CHECK(count_in_ruleset("10.22.0.5") > 0);
}

TEST_CASE("rules of iptables' older implementation are found and removed", "[netns]") {
  require_program("iptables-legacy");
  Namespaces spaces;
  if (!run({"iptables-legacy", "-t", "nat", "-S"}).ok()) skip("no x_tables in this kernel");
  const std::string path =
      path_with(spaces,
                "case $name in ip6*) base=ip6tables;; *) base=iptables;; esac\n"
                "exec /usr/sbin/$base-legacy${name#$base} \"$@\"");
  MasqueradeSpec spec = c1_spec("iptables");
  MasqueradeSpec second =
      masquerade_spec("iptables", {"10.22.0.3/16", "fd00:22::3/64"}, "cont1", "eth1");
  spec.search_path = second.search_path = path;
  const auto rules = [] {
    return run_ok({"iptables-legacy", "-t", "nat", "-S"}) +
           run_ok({"ip6tables-legacy", "-t", "nat", "-S"});
  };
  const std::string before = rules();
  add_committed(spec);
  const std::string with_one = rules();
  CHECK(with_one.find("10.22.0.2/32") != std::string::npos);
  CHECK(with_one.find("fd00:22::2/128") != std::string::npos);
  CHECK(check_failure(spec).empty());
  add_committed(second);
  remove_masquerade(spec);
  remove_masquerade(spec);
  CHECK(check_failure(second).empty());
  second.addresses.clear();
  remove_masquerade(second);
  CHECK(rules() == before);

  add_committed(spec);
  gc_masquerade("mynet", {}, path);
  CHECK(rules() == before);
}

TEST_CASE("without a configured backend nftables stands in where iptables cannot work", "[netns]") {
  require_program("nft");
  Namespaces spaces;
  const std::string path = path_with(spaces, "exit 3");
  MasqueradeSpec spec = c1_spec("");
  spec.search_path = path;
  add_committed(spec);
  CHECK(check_failure(spec).empty());
  CHECK(count_in_ruleset(cat("10.22.0.2 comment \"", kComment1)) == 1);
  CHECK_NOTHROW(probe_masquerade("", path));
  CHECK_THROWS_AS(probe_masquerade("iptables", path), Error);

  spec.backend = "iptables";
  os::Undo undo;
  CHECK_THROWS_AS(add_masquerade(spec, undo), Error);
}

TEST_CASE("what one family got from iptables is taken back when the other family cannot work",
          "[netns]") {
  require_program("nft");
  Namespaces spaces;
  MasqueradeSpec spec = c1_spec("");
  spec.search_path =
      path_with(spaces, "case $name in ip6*) exit 3;; *) exec /usr/sbin/$name \"$@\";; esac");
  add_committed(spec);
  CHECK(count_in_ruleset("CNI-") == 0);
  CHECK(check_failure(spec).empty());
  CHECK(count_in_ruleset(cat("fd00:22::2 comment \"", kComment1)) == 1);
}

TEST_CASE("a successful iptables ADD runs one program for each family and DEL none", "[netns]") {
  require_program("iptables-save");
  Namespaces spaces;
  const std::string log = cat(spaces.folder(), "/log");
  write_file(log, "");
  MasqueradeSpec spec = c1_spec("");
  spec.search_path = path_with(spaces, cat("echo $name >> ", log, "\nexec /usr/sbin/$name \"$@\""));
  add_committed(spec);
  CHECK(file_text(log) == "iptables-restore\nip6tables-restore\n");
  remove_masquerade(spec);
  CHECK(file_text(log) == "iptables-restore\nip6tables-restore\n");
  CHECK(saved("iptables-save") == cat(kEmptyNat, "COMMIT\n"));
}
