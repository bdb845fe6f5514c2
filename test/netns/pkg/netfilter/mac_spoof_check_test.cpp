// The MAC spoof check of bridge ports: frames, layout, removal, garbage collection.
#include "pkg/netfilter/mac_spoof_check.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "pkg/types/error.hpp"
#include "test/support/at_once.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/netns_fixture.hpp"
#include "test/support/run_plugin.hpp"

using namespace cni;
using namespace cni::netfilter;
using namespace cni::test;

namespace {

constexpr const char* kMac1 = "02:00:00:00:00:01";
constexpr const char* kMac2 = "02:00:00:00:00:02";

SpoofCheckSpec spec_of(const std::string& container_id, const std::string& port,
                       const std::string& mac, const std::string& network = "mynet") {
  return {network, container_id, "eth0", port, mac.empty() ? Mac() : Mac::parse(mac).value()};
}

void add_committed(const SpoofCheckSpec& spec) {
  os::Undo undo;
  add_mac_spoof_check(spec, undo);
  undo.commit();
}

std::string check_failure(const SpoofCheckSpec& spec) {
  try {
    check_mac_spoof_check(spec);
    return {};
  } catch (const Error& error) {
    CHECK(error.code == Code::kCheckFailed);
    return error.what();
  }
}

int count_in_ruleset(const std::string& text) {
  const std::string ruleset = run_ok({"nft", "list", "ruleset"});
  int out = 0;
  for (std::size_t at = ruleset.find(text); at != std::string::npos;
       at = ruleset.find(text, at + 1)) {
    ++out;
  }
  return out;
}

// Two containers on one bridge: c1 at port p1 with kMac1 and 10.1.0.1, c2 likewise.
class BridgedPair {
 public:
  BridgedPair() {
    run_ok({"ip", "link", "add", "br0", "type", "bridge"});
    run_ok({"ip", "link", "set", "br0", "up"});
    connect("c1", "p1", kMac1, "10.1.0.1/24");
    connect("c2", "p2", kMac2, "10.1.0.2/24");
  }

  Namespaces& spaces() { return spaces_; }

  static void set_mac(const std::string& netns, const std::string& mac) {
    run_ok({"ip", "-n", netns, "link", "set", "eth0", "address", mac});
  }

  // c1 sends frames and hears of one.
  static bool gets_through() {
    // Neither side shall use what it learnt before, nor wait for the answer to an earlier question.
    run_ok({"ip", "-n", "c1", "neigh", "flush", "all"});
    run_ok({"ip", "-n", "c2", "neigh", "flush", "all"});
    return run_in("c1", {"ping", "-c", "1", "-i", "0.2", "-w", "2", "10.1.0.2"}).ok();
  }

 private:
  void connect(const std::string& name, const std::string& port, const std::string& mac,
               const std::string& address) {
    (void)spaces_.container(name);
    run_ok({"ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "address", mac,
            "netns", name});
    run_ok({"ip", "link", "set", port, "master", "br0", "up"});
    run_ok({"ip", "-n", name, "link", "set", "eth0", "up"});
    run_ok({"ip", "-n", name, "address", "add", address, "dev", "eth0"});
  }

  Namespaces spaces_;
};

// The reference's bridge with macspoofchk.
PluginRun call_reference(const std::string& folder, const std::string& command,
                         const std::string& container_id, const std::string& netns) {
  Call what;
  what.command = command;
  what.container_id = container_id;
  what.netns = netns;
  what.path = folder;
  what.input =
      R"({"cniVersion":"1.0.0","name":"mynet","type":"bridge","bridge":"br1","macspoofchk":true})";
  return call(folder + "/bridge", what);
}

// What its ADD made: host end and container MAC of the result.
SpoofCheckSpec spec_of_result(const PluginRun& run, const std::string& container_id) {
  const json& interfaces = run.document.at("interfaces");
  return spec_of(container_id, interfaces.at(1).at("name").get<std::string>(),
                 interfaces.at(2).at("mac").get<std::string>());
}

}  // namespace

TEST_CASE("only the container's own MAC gets through its port", "[netns][nft]") {
  require_program("nft");
  require_program("ping");
  BridgedPair pair;
  REQUIRE(pair.gets_through());
  add_committed(spec_of("cont1", "p1", kMac1));
  CHECK(pair.gets_through());
  pair.set_mac("c1", "02:00:00:00:00:99");
  CHECK_FALSE(pair.gets_through());
  // c2 is not checked, whatever its MAC.
  pair.set_mac("c1", kMac1);
  pair.set_mac("c2", "02:00:00:00:00:98");
  CHECK(pair.gets_through());
  // Another container's MAC is allowed at that container's port only.
  add_committed(spec_of("cont2", "p2", "02:00:00:00:00:98"));
  CHECK(pair.gets_through());
  pair.set_mac("c2", kMac2);
  CHECK_FALSE(pair.gets_through());
  remove_mac_spoof_check(spec_of("cont2", "p2", "02:00:00:00:00:98"));
  CHECK(pair.gets_through());
  pair.set_mac("c1", "02:00:00:00:00:99");
  CHECK_FALSE(pair.gets_through());
  remove_mac_spoof_check(spec_of("cont1", "", ""));
  CHECK(pair.gets_through());
}

TEST_CASE("nft shows ports and MACs with the attachment and reads its own listing back",
          "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  add_committed(spec_of("cont1", "p1", kMac1));
  const std::string ruleset = run_ok({"nft", "list", "ruleset"});
  INFO(ruleset);
  CHECK(count_in_ruleset("\"p1\" . 02:00:00:00:00:01 comment \"macspoofchk-cont1-eth0, ") == 1);
  CHECK(count_in_ruleset("\"p1\" comment \"macspoofchk-cont1-eth0, ") == 1);
  CHECK(count_in_ruleset("type filter hook prerouting priority dstnat; policy accept;") == 1);
  CHECK(count_in_ruleset("iifname . ether saddr @cni-macspoofchk-allowed return") == 1);
  CHECK(count_in_ruleset("iifname @cni-macspoofchk-ports drop") == 1);
  CHECK(nft({"-j", "list", "table", "bridge", "nat"}).at("nftables").size() > 6);
  run_ok({"nft", "flush", "ruleset"});
  run_ok({"nft", "-f", "-"}, ruleset);
  CHECK(run_ok({"nft", "list", "ruleset"}) == ruleset);
  CHECK(check_failure(spec_of("cont1", "p1", kMac1)).empty());
}

TEST_CASE("the spoof check is added and removed any number of times", "[netns][nft]") {
  require_program("nft");
  const bool knows_port = GENERATE(true, false);
  CAPTURE(knows_port);
  Namespaces spaces;
  const SpoofCheckSpec whole = spec_of("cont1", "p1", kMac1);
  const SpoofCheckSpec known = knows_port ? whole : spec_of("cont1", "", "");
  remove_mac_spoof_check(known);  // nothing is there yet
  add_committed(spec_of("cont2", "p2", kMac2));
  const std::string before = run_ok({"nft", "list", "ruleset"});
  add_committed(whole);
  const std::string once = run_ok({"nft", "list", "ruleset"});
  add_committed(whole);
  CHECK(run_ok({"nft", "list", "ruleset"}) == once);
  remove_mac_spoof_check(known);
  CHECK(run_ok({"nft", "list", "ruleset"}) == before);
  remove_mac_spoof_check(known);
  CHECK(run_ok({"nft", "list", "ruleset"}) == before);
}

TEST_CASE("a failed ADD takes its spoof check back", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  add_committed(spec_of("cont2", "p2", kMac2));
  const std::string before = run_ok({"nft", "list", "ruleset"});
  os::Undo undo;
  add_mac_spoof_check(spec_of("cont1", "p1", kMac1), undo);
  REQUIRE(run_ok({"nft", "list", "ruleset"}) != before);
  CHECK(undo.roll_back().empty());
  CHECK(run_ok({"nft", "list", "ruleset"}) == before);
}

TEST_CASE("a port's name that was used before does not let the old MAC through", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  add_committed(spec_of("cont1", "p1", kMac1));
  add_committed(spec_of("cont2", "p1", kMac2));
  CHECK(check_failure(spec_of("cont2", "p1", kMac2)).empty());
  CHECK(count_in_ruleset(kMac1) == 0);
  remove_mac_spoof_check(spec_of("cont1", "p1", kMac1));
  CHECK(check_failure(spec_of("cont2", "p1", kMac2)).empty());
}

TEST_CASE("the spoof check works again after somebody flushed the rules", "[netns][nft]") {
  require_program("nft");
  require_program("ping");
  const std::string damage =
      GENERATE("flush ruleset", "flush table bridge nat", "flush chain bridge nat PREROUTING",
               "flush chain bridge nat cni-macspoofchk");
  CAPTURE(damage);
  BridgedPair pair;
  add_committed(spec_of("cont2", "p2", kMac2));
  run_ok({"nft", "-f", "-"}, damage + "\n");
  CHECK_FALSE(check_failure(spec_of("cont2", "p2", kMac2)).empty());
  add_committed(spec_of("cont1", "p1", kMac1));
  CHECK(check_failure(spec_of("cont1", "p1", kMac1)).empty());
  CHECK(pair.gets_through());
  pair.set_mac("c1", "02:00:00:00:00:99");
  CHECK_FALSE(pair.gets_through());
  remove_mac_spoof_check(spec_of("cont2", "p2", kMac2));
}

TEST_CASE("a container id of any length is checked and removed", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  const std::string long_id(600, 'a');
  add_committed(spec_of(long_id + "1", "p1", kMac1));
  add_committed(spec_of(long_id + "2", "p2", kMac2));
  CHECK(check_failure(spec_of(long_id + "1", "p1", kMac1)).empty());
  remove_mac_spoof_check(spec_of(long_id + "1", "", ""));
  CHECK(count_in_ruleset(kMac1) == 0);
  CHECK(check_failure(spec_of(long_id + "2", "p2", kMac2)).empty());
}

TEST_CASE("GC removes stale checks of its network and those of ports that are gone",
          "[netns][nft]") {
  require_program("nft");
  BridgedPair pair;
  run_ok({"ip", "link", "add", "p3", "type", "veth", "peer", "name", "p4"});
  add_committed(spec_of("cont1", "p1", kMac1));
  add_committed(spec_of("cont2", "p2", kMac2));
  add_committed(spec_of("cont3", "p3", "02:00:00:00:00:03", "other"));
  add_committed(spec_of("cont4", "gone", "02:00:00:00:00:04", "other"));
  const std::vector<Attachment> valid = {{"cont1", "eth0"}};
  gc_mac_spoof_check("mynet", valid);
  CHECK(check_failure(spec_of("cont1", "p1", kMac1)).empty());
  CHECK(count_in_ruleset("cont2") == 0);
  CHECK(check_failure(spec_of("cont3", "p3", "02:00:00:00:00:03", "other")).empty());
  CHECK(count_in_ruleset("cont4") == 0);
}

TEST_CASE("what the reference made passes our CHECK and is removed by our DEL and GC",
          "[netns][nft]") {
  const std::string folder = require_reference();
  require_program("nft");
  Namespaces spaces;
  const std::string netns = spaces.container("c1");
  const PluginRun added = call_reference(folder, "ADD", "cont1", netns);
  INFO(added.describe());
  REQUIRE(added.ok());
  const SpoofCheckSpec spec = spec_of_result(added, "cont1");
  CHECK(check_failure(spec).empty());
  CHECK_FALSE(check_failure(spec_of("cont1", spec.host_veth, kMac2)).empty());
  CHECK_FALSE(check_failure(spec_of("cont2", spec.host_veth, spec.mac.to_string())).empty());

  // Ours lives beside it.
  add_committed(spec_of("cont2", "p2", kMac2));
  gc_mac_spoof_check("mynet", std::vector<Attachment>{{"cont2", "eth0"}});
  CHECK(check_failure(spec).empty());  // its port is still there

  remove_mac_spoof_check(spec_of("cont1", "", ""));
  CHECK(count_in_ruleset("cont1") == 0);

  REQUIRE(call_reference(folder, "ADD", "cont3", spaces.container("c3")).ok());
  REQUIRE(count_in_ruleset("cont3") > 0);
  run_ok({"ip", "-n", "c3", "link", "delete", "eth0"});
  gc_mac_spoof_check("other", {});
  CHECK(count_in_ruleset("cont3") == 0);
}

TEST_CASE("processes that check ports at once all succeed", "[netns][nft]") {
  require_program("nft");
  Namespaces spaces;
  constexpr int kProcesses = 8;
  constexpr int kRounds = 30;
  run_at_once(kProcesses, [](int child) {
    for (int i = 0; i < kRounds; ++i) {
      const SpoofCheckSpec spec =
          spec_of(cat("cont-", child, "-", i), cat("p", child, "-", i), kMac1);
      add_committed(spec);
      check_mac_spoof_check(spec);
      if (i % 2 == 0) remove_mac_spoof_check(spec);
    }
  });
  CHECK(count_in_ruleset("macspoofchk-cont-") == 2 * kProcesses * kRounds / 2);
  CHECK(count_in_ruleset("jump cni-macspoofchk") == 1);
  CHECK(count_in_ruleset("iifname @cni-macspoofchk-ports drop") == 1);
}
