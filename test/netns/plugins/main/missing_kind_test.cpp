// What a kernel without a plugin's link type leads to.
#include <string>

#include "test/support/catch.hpp"
#include "test/support/scenario.hpp"
#include "test/support/skip.hpp"
#include "test/support/snapshot.hpp"

using namespace cni::test;

namespace {

void check_missing(const char* kind, const std::string& prefix, const std::string& missing) {
  if (has_kind(kind)) skip(std::string("this kernel has ") + kind);
  const Scenario& what = scenario(kind);
  Namespaces namespaces;
  prepare_host(what);
  (void)namespaces.container("one");
  prepare_container(what, "one");
  const Snapshot before = without_shared(take({"one"}));
  const auto run = [&](const char* command) {
    return call_in_process(plugin_named(what.plugin), call_of(what, command, "one"));
  };
  check_error(run("ADD"), 107, prefix + ": " + missing);
  CHECK(diff(before, without_shared(take({"one"}))) == "");
  check_error(run("STATUS"), 50, missing);
  CHECK(run("DEL").ok());
}

}  // namespace

TEST_CASE("ipvlan names the kernel option that is missing and leaves nothing", "[netns]") {
  check_missing("ipvlan", "failed to create ipvlan: add ipvlan eth0",
                "the kernel has no ipvlan support (CONFIG_IPVLAN)");
}
TEST_CASE("vlan names the kernel option that is missing and leaves nothing", "[netns]") {
  check_missing("vlan", "failed to create vlan: add vlan eth0",
                "the kernel has no vlan support (CONFIG_VLAN_8021Q)");
}
TEST_CASE("dummy names the kernel option that is missing and leaves nothing", "[netns]") {
  check_missing("dummy", "failed to create dummy: add dummy eth0",
                "the kernel has no dummy support (CONFIG_DUMMY)");
}
TEST_CASE("vrf names the kernel option that is missing and leaves nothing", "[netns]") {
  check_missing("vrf", "cmdAdd failed: could not add VRF blue: add vrf blue",
                "the kernel has no vrf support (CONFIG_NET_VRF)");
}
