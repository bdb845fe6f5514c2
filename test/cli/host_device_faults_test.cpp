// DEL of host-device is killed behind every system call, and every system call of it that can fail
// is made to fail once: the next DEL brings the device back.
#include <cerrno>
#include <string>

#include "test/support/fault.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/scenario.hpp"
#include "test/support/snapshot.hpp"

namespace cni::test {
namespace {

constexpr int kNoEnd = 5000;  // no process makes as many calls

void check_interrupted(const Fault::Kind kind, const int error) {
  require_fault_injection();
  const Scenario& what = scenario("host-device");
  Namespaces namespaces;
  prepare_host(what);
  for (const char* name : {"warm", "one"}) {
    (void)namespaces.container(name);
    for (const char* command : {"ADD", "DEL"}) {
      REQUIRE(call(what.plugin, call_of(what, command, name)).ok());
    }
  }
  const Snapshot before = without_shared(take({"one"}));
  const Call del = call_of(what, "DEL", "one");
  int faults = 0;
  for (int process = 0; process < 2; ++process) {
    for (int when = 1; when < kNoEnd; ++when) {
      REQUIRE(call(what.plugin, call_of(what, "ADD", "one")).ok());
      // The container has renamed it, so that the name does not lead to it.
      (void)ip({"-n", "one", "link", "set", "eth0", "down"});
      (void)ip({"-n", "one", "link", "set", "eth0", "name", "wan0"});
      const FaultyRun faulty = call_with_fault(
          what.plugin, del, {.kind = kind, .error = error, .process = process, .when = when});
      INFO("call " << when << " of process " << process << ", " << faulty.call << "\n"
                   << faulty.run.describe());
      const PluginRun again = call(what.plugin, del);
      INFO("DEL again: " << again.describe());
      CHECK(again.ok());
      CHECK(diff(before, without_shared(take({"one"}))) == "");
      if (!faulty.happened) break;
      ++faults;
    }
  }
  CHECK(faults > 10);
}

TEST_CASE("a killed DEL of host-device is completed by the next", "[cli][netns]") {
  check_interrupted(Fault::Kind::kKillAll, 0);
}
TEST_CASE("a DEL of host-device that failed is completed by the next", "[cli][netns]") {
  check_interrupted(Fault::Kind::kFail, EIO);
}

}  // namespace
}  // namespace cni::test
