// An ADD that fails behind each of its undo steps, and at last when its result is printed, leaves
// nothing.
#include <stdexcept>
#include <string>

#include "pkg/types/error.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/scenario.hpp"
#include "test/support/snapshot.hpp"

namespace cni::test {
namespace {

Error probe() { return {Code::kInternal, "the probe"}; }

// Throws from the push of step number `at`.
Hooks throwing_at(int at, int& pushed) {
  Hooks hooks;
  hooks.on_undo_push = [at, &pushed](std::string_view /*unused*/) {
    if (++pushed == at) throw probe();
  };
  return hooks;
}

Hooks throwing_at_print() {
  Hooks hooks;
  hooks.before_print = [] { throw probe(); };
  return hooks;
}

// The number of undo steps that the ADD has.
int check_each_step(const Scenario& what, const Snapshot& before) {
  const skel::Plugin& plugin = plugin_named(what.plugin);
  const Call add = call_of(what, "ADD", "one");
  for (int at = 1;; ++at) {
    int pushed = 0;
    const PluginRun run = call_in_process(plugin, add, throwing_at(at, pushed));
    INFO("step " << at << ": " << run.describe());
    if (pushed < at) {
      REQUIRE(run.ok());
      REQUIRE(call_in_process(plugin, call_of(what, "DEL", "one")).ok());
      renew_interface(what, "one");
      return pushed;
    }
    check_error(run, 999, "");
    CHECK(run.msg().find("the probe") != std::string::npos);
    CHECK(run.details() == "");  // would name an undo step that failed
    CHECK(diff(before, without_shared(take({"one"}))) == "");
  }
}

void check_undo(const char* name, int least_steps) {
  const Scenario& what = scenario(name);
  require_for(what);
  Namespaces namespaces;
  prepare_host(what);
  (void)namespaces.container("one");
  prepare_container(what, "one");
  connect_container(what, "one");
  // A cold host: what attachments share is not there yet, and may stay.
  const Snapshot before = without_shared(take({"one"}));
  CHECK(check_each_step(what, before) >= least_steps);
  CHECK(diff(before, without_shared(take({"one"}))) == "");

  const PluginRun run =
      call_in_process(plugin_named(what.plugin), call_of(what, "ADD", "one"), throwing_at_print());
  check_error(run, 999, "the probe");
  CHECK(diff(before, without_shared(take({"one"}))) == "");
}

TEST_CASE("loopback is undone from every step", "[netns]") { check_undo("loopback", 1); }
TEST_CASE("bridge is undone from every step", "[netns]") { check_undo("bridge", 2); }
TEST_CASE("bridge at layer 2 is undone from every step", "[netns]") {
  check_undo("bridge-layer2", 1);
}
TEST_CASE("bridge with two families and nftables is undone from every step", "[netns][nft]") {
  check_undo("bridge-dual-stack", 3);
}
TEST_CASE("bridge with iptables is undone from every step", "[netns]") {
  check_undo("bridge-masquerade-iptables", 3);
}
TEST_CASE("bridge with spoof check is undone from every step", "[netns][nft]") {
  check_undo("bridge-spoof-check", 3);
}
TEST_CASE("bridge with a VLAN is undone from every step", "[netns]") {
  check_undo("bridge-vlan", 3);
}
TEST_CASE("bridge with a trunk is undone from every step", "[netns]") {
  check_undo("bridge-vlan-trunk", 3);
}
TEST_CASE("ptp is undone from every step", "[netns]") { check_undo("ptp", 2); }
TEST_CASE("ptp with nftables is undone from every step", "[netns][nft]") {
  check_undo("ptp-masquerade-nftables", 3);
}
TEST_CASE("ptp with iptables is undone from every step", "[netns]") {
  check_undo("ptp-masquerade-iptables", 3);
}
TEST_CASE("macvlan is undone from every step", "[netns][kind:macvlan]") {
  check_undo("macvlan", 2);
}
TEST_CASE("macvlan at layer 2 is undone from every step", "[netns][kind:macvlan]") {
  check_undo("macvlan-layer2", 1);
}
TEST_CASE("ipvlan is undone from every step", "[netns][kind:ipvlan]") { check_undo("ipvlan", 2); }
TEST_CASE("ipvlan with the addresses of a chain is undone from every step",
          "[netns][kind:ipvlan]") {
  check_undo("ipvlan-chained", 1);
}
TEST_CASE("vlan is undone from every step", "[netns][kind:vlan]") { check_undo("vlan", 2); }
TEST_CASE("dummy is undone from every step", "[netns][kind:dummy]") { check_undo("dummy", 2); }
TEST_CASE("host-device is undone from every step", "[netns]") { check_undo("host-device", 2); }
TEST_CASE("host-device at layer 2 is undone from every step", "[netns]") {
  check_undo("host-device-layer2", 1);
}
TEST_CASE("tap is undone from every step", "[netns]") { check_undo("tap", 2); }
TEST_CASE("tap at layer 2 is undone from every step", "[netns]") { check_undo("tap-layer2", 1); }
TEST_CASE("firewall with iptables is undone from every step", "[netns]") {
  check_undo("firewall-iptables", 1);
}
TEST_CASE("firewall with a policy is undone from every step", "[netns]") {
  check_undo("firewall-same-bridge", 1);
}
TEST_CASE("firewall with nftables is undone from every step", "[netns][nft]") {
  check_undo("firewall-nftables", 1);
}
TEST_CASE("host-local is undone from every step", "[netns]") { check_undo("host-local", 2); }
TEST_CASE("sbr is undone from every step", "[netns]") { check_undo("sbr", 5); }
TEST_CASE("sbr with hints is undone from every step", "[netns]") { check_undo("sbr-hints", 7); }
TEST_CASE("sbr with a table is undone from every step", "[netns]") { check_undo("sbr-table", 2); }
TEST_CASE("static has nothing to undo", "[netns]") { check_undo("static", 0); }
TEST_CASE("portmap with iptables is undone from every step", "[netns]") {
  check_undo("portmap-iptables", 2);
}
TEST_CASE("portmap with nftables is undone from every step", "[netns][nft]") {
  check_undo("portmap-nftables", 1);
}
TEST_CASE("bandwidth is undone from every step", "[netns][kind:ifb]") {
  check_undo("bandwidth", 5);
}
TEST_CASE("bandwidth with htb is undone from every step", "[netns][kind:ifb]") {
  check_undo("bandwidth-htb", 5);
}
TEST_CASE("bandwidth in the container is undone from every step", "[netns][kind:ifb]") {
  check_undo("bandwidth-in-container", 5);
}
TEST_CASE("tuning is undone from every step", "[netns]") { check_undo("tuning", 1); }
TEST_CASE("vrf is undone from every step", "[netns][kind:vrf]") { check_undo("vrf", 2); }

}  // namespace
}  // namespace cni::test
