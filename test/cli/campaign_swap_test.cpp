// A node's plugin folder is swapped under running containers: what the reference plugins have
// added, ours check and delete, and the other way round.
#include <algorithm>
#include <string>
#include <vector>

#include "test/support/ip_json.hpp"
#include "test/support/scenario.hpp"
#include "test/support/snapshot.hpp"

namespace cni::test {
namespace {

// Where a plugin and its delegates come from.
struct Suite {
  std::string folder;

  PluginRun run(const Scenario& what, const char* command, const std::string& version,
                const json& prev_result = nullptr) const {
    Call call = call_of(what, command, "one", version, prev_result);
    call.path = folder;
    return cni::test::call(folder + "/" + what.plugin, call);
  }

  std::vector<std::string> versions(const std::string& plugin) const {
    Call call;
    call.command = "VERSION";
    call.input = R"({"cniVersion":"1.1.0"})";
    const PluginRun run = cni::test::call(folder + "/" + plugin, call);
    INFO(run.describe());
    REQUIRE(run.document.is_object());
    return run.document.at("supportedVersions").get<std::vector<std::string>>();
  }
};

bool has_check(const std::string& version) { return version >= "0.4.0"; }

// Versions before 0.3.0 cannot express an attachment without an address.
bool expressible(const Scenario& what, const std::string& version) {
  const bool needs_addresses = version == "0.1.0" || version == "0.2.0";
  return !needs_addresses || what.name.find("layer2") == std::string::npos;
}

// Whether the reference's DEL of what it added itself succeeds here. With ipMasqBackend nftables it
// does not where iptables says "does not exist" in other words than it expects (1.8.9 does).
bool deletes_its_own(const Scenario& what, const Suite& reference) {
  Namespaces namespaces;
  prepare_host(what);
  (void)namespaces.container("one");
  connect_container(what, "one");
  prepare_container(what, "one");
  REQUIRE(reference.run(what, "ADD", "1.0.0").ok());
  return reference.run(what, "DEL", "1.0.0").ok();
}

void check_swap(const Scenario& what, const Suite& adder, const Suite& deleter,
                const std::string& version, const Snapshot& before, bool has_to_succeed,
                const std::vector<std::string>& allowed) {
  connect_container(what, "one");
  const PluginRun added = adder.run(what, "ADD", version);
  INFO("ADD: " << added.describe());
  REQUIRE(added.ok());
  // The reference knows only its own rules of nftables.
  const bool is_unknown =
      what.name == "portmap-nftables" && deleter.folder != std::string(CNI_TEST_BIN_DIR);
  if (has_check(version) && what.name.find("layer2") == std::string::npos && !is_unknown) {
    const PluginRun checked = deleter.run(what, "CHECK", version, added.document);
    INFO("CHECK: " << checked.describe());
    CHECK(checked.ok());
  }
  const PluginRun deleted =
      deleter.run(what, "DEL", version, has_check(version) ? added.document : json());
  INFO("DEL: " << deleted.describe());
  if (has_to_succeed) CHECK(deleted.ok());
  // What is on the link goes with it.
  disconnect_container(what, "one");
  renew_interface(what, "one");
  Snapshot after = without_shared(take({"one"}));
  for (auto line = after.lines.begin(); line != after.lines.end();) {
    const bool is_allowed =
        std::any_of(allowed.begin(), allowed.end(),
                    [&](const std::string& part) { return line->find(part) != std::string::npos; });
    line = is_allowed ? after.lines.erase(line) : std::next(line);
  }
  CHECK(diff(before, after) == "");
  // Ours clears what the reference left.
  (void)Suite{CNI_TEST_BIN_DIR}.run(what, "DEL", version);
}

void check_scenario(const char* name, const std::vector<std::string>& left_by_reference = {}) {
  const Suite ours{CNI_TEST_BIN_DIR};
  const Suite reference{require_reference()};
  const Scenario& what = scenario(name);
  require_for(what);
  const bool reference_succeeds = deletes_its_own(what, reference);
  const std::vector<std::string> spoken = reference.versions(what.plugin);
  for (const std::string& version : ours.versions(what.plugin)) {
    const bool common = std::find(spoken.begin(), spoken.end(), version) != spoken.end();
    if (!common || !expressible(what, version)) continue;
    Namespaces namespaces;
    prepare_host(what);
    (void)namespaces.container("warm");
    (void)namespaces.container("one");
    prepare_container(what, "one");
    const Snapshot before = without_shared(take({"one"}));
    {
      INFO(what.name << " " << version << ", added by the reference, deleted by ours");
      check_swap(what, reference, ours, version, before, true, {});
    }
    {
      INFO(what.name << " " << version << ", added by ours, deleted by the reference");
      check_swap(what, ours, reference, version, before, reference_succeeds, left_by_reference);
    }
  }
}

TEST_CASE("loopback is swapped with the reference", "[cli][netns]") { check_scenario("loopback"); }
TEST_CASE("bridge is swapped with the reference", "[cli][netns]") { check_scenario("bridge"); }
TEST_CASE("bridge at layer 2 is swapped with the reference", "[cli][netns]") {
  check_scenario("bridge-layer2");
}
TEST_CASE("bridge with iptables is swapped with the reference", "[cli][netns]") {
  check_scenario("bridge-masquerade-iptables");
}
TEST_CASE("bridge with nftables is swapped with the reference", "[cli][netns][nft]") {
  // Inert: no packet has that source address any more, and our DEL, GC or next ADD with the address
  // clears it.
  check_scenario("bridge-masquerade-nftables", {"nft element of cni_plugins_masquerade"});
}
TEST_CASE("bridge with spoof check is swapped with the reference", "[cli][netns][nft]") {
  check_scenario("bridge-spoof-check", {"nft element of nat"});
}
TEST_CASE("bridge with a VLAN is swapped with the reference", "[cli][netns]") {
  // The reference leaves the gateway interface of its own containers too. The other name is that of
  // its end at the bridge, which our DEL would have removed with it.
  check_scenario("bridge-vlan", {"cni0.100", "vethd3cb5d31"});
}
TEST_CASE("bridge with a trunk is swapped with the reference", "[cli][netns]") {
  check_scenario("bridge-vlan-trunk");
}
TEST_CASE("ptp is swapped with the reference", "[cli][netns]") { check_scenario("ptp"); }
TEST_CASE("ptp with iptables is swapped with the reference", "[cli][netns]") {
  check_scenario("ptp-masquerade-iptables");
}
TEST_CASE("ptp with nftables is swapped with the reference", "[cli][netns][nft]") {
  check_scenario("ptp-masquerade-nftables", {"nft element of cni_plugins_masquerade"});
}
TEST_CASE("macvlan is swapped with the reference", "[cli][netns]") { check_scenario("macvlan"); }
TEST_CASE("macvlan at layer 2 is swapped with the reference", "[cli][netns]") {
  check_scenario("macvlan-layer2");
}
TEST_CASE("ipvlan is swapped with the reference", "[cli][netns][kind:ipvlan]") {
  check_scenario("ipvlan");
}
TEST_CASE("vlan is swapped with the reference", "[cli][netns][kind:vlan]") {
  check_scenario("vlan");
}
TEST_CASE("dummy is swapped with the reference", "[cli][netns][kind:dummy]") {
  check_scenario("dummy");
}
TEST_CASE("host-device is swapped with the reference", "[cli][netns]") {
  check_scenario("host-device");
}
TEST_CASE("host-device at layer 2 is swapped with the reference", "[cli][netns]") {
  check_scenario("host-device-layer2");
}
TEST_CASE("tap is swapped with the reference", "[cli][netns]") { check_scenario("tap"); }
TEST_CASE("tap at layer 2 is swapped with the reference", "[cli][netns]") {
  check_scenario("tap-layer2");
}
TEST_CASE("firewall with iptables is swapped with the reference", "[cli][netns]") {
  check_scenario("firewall-iptables", {"/run/cni/firewall"});
}
TEST_CASE("firewall with a policy is swapped with the reference", "[cli][netns]") {
  // The reference never removes what it made for a policy either.
  check_scenario("firewall-same-bridge", {"/run/cni/firewall", "CNI-ISOLATION"});
}
TEST_CASE("firewall that isolates is swapped with the reference", "[cli][netns]") {
  check_scenario("firewall-isolated", {"/run/cni/firewall", "CNI-ISOLATION"});
}
TEST_CASE("portmap with iptables is swapped with the reference", "[cli][netns]") {
  check_scenario("portmap-iptables");
}
TEST_CASE("portmap with nftables is swapped with the reference", "[cli][netns][nft]") {
  // What leads to the container stays until our DEL, GC or an ADD for the port.
  check_scenario("portmap-nftables", {"nft element of cni_hostport"});
}
TEST_CASE("bandwidth is swapped with the reference", "[cli][netns][kind:ifb]") {
  check_scenario("bandwidth");
}
TEST_CASE("sbr is swapped with the reference", "[cli][netns]") {
  // The reference leaves the routes to the end of the link, and no rule leads to them.
  check_scenario("sbr", {"\"table\":\"10"});
}
TEST_CASE("sbr with a table is swapped with the reference", "[cli][netns]") {
  check_scenario("sbr-table");
}
TEST_CASE("tuning is swapped with the reference", "[cli][netns]") {
  check_scenario("tuning-interface");
}
TEST_CASE("vrf is swapped with the reference", "[cli][netns][kind:vrf]") { check_scenario("vrf"); }
TEST_CASE("host-local is swapped with the reference", "[cli]") { check_scenario("host-local"); }
TEST_CASE("static is swapped with the reference", "[cli]") { check_scenario("static"); }

}  // namespace
}  // namespace cni::test
