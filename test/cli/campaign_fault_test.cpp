// Every plugin's ADD is killed behind every system call that changes anything, and every system
// call that can fail is made to fail once.
#include <cerrno>
#include <string>
#include <vector>

#include "test/support/fault.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/scenario.hpp"
#include "test/support/snapshot.hpp"

namespace cni::test {
namespace {

constexpr int kNoEnd = 5000;  // no ADD makes as many calls

// A warm host with a container "one" that has nothing yet.
class Campaign {
 public:
  explicit Campaign(const char* name) : what_(scenario(name)) {
    require_for(what_);
    require_fault_injection();
    namespaces_.emplace();
    prepare_host(what_);
    (void)namespaces_->container("warm");
    (void)namespaces_->container("one");
    prepare_container(what_, "one");
    for (const char* command : {"ADD", "DEL"}) {
      const PluginRun run = call(what_.plugin, call_of(what_, command, "warm"));
      INFO(run.describe());
      REQUIRE(run.ok());
    }
    before_ = without_shared(take({"one"}));
  }

  FaultyRun add(const Fault& fault) const {
    return call_with_fault(what_.plugin, call_of(what_, "ADD", "one"), fault);
  }

  void del() const {
    const PluginRun run = call(what_.plugin, call_of(what_, "DEL", "one"));
    INFO("DEL: " << run.describe());
    CHECK(run.ok());
  }

  std::string left() const { return diff(before_, without_shared(take({"one"}))); }

 private:
  const Scenario& what_;
  std::optional<Namespaces> namespaces_;
  Snapshot before_;
};

std::string describe(const Fault& fault, const FaultyRun& result) {
  return cat("call ", fault.when, ", ", result.call,
             result.in_plugin ? " of the plugin" : " of a program it ran",
             fault.kind == Fault::Kind::kFail ? cat(", error ", fault.error) : ", killed", "\n",
             result.run.describe());
}

void check_killed(const char* name) {
  const Campaign campaign(name);
  int when = 1;
  for (; when < kNoEnd; ++when) {
    const Fault fault{.kind = Fault::Kind::kKillAll, .error = 0, .when = when};
    const FaultyRun result = campaign.add(fault);
    if (!result.happened) break;
    INFO(describe(fault, result));
    campaign.del();
    CHECK(campaign.left() == "");
  }
  campaign.del();
  CHECK(when > 3);
  CHECK(campaign.left() == "");
}

// A delegate that is killed is a failed ADD, which leaves nothing even before DEL.
void check_delegate_killed(const char* name) {
  const Campaign campaign(name);
  int killed = 0;
  for (int when = 1; when < kNoEnd; ++when) {
    const Fault fault{.kind = Fault::Kind::kKillProcess, .error = 0, .when = when};
    const FaultyRun result = campaign.add(fault);
    if (!result.happened) break;
    if (result.in_plugin) {
      campaign.del();
      continue;
    }
    ++killed;
    INFO(describe(fault, result));
    if (result.run.ok()) {
      campaign.del();
    } else {
      CHECK(result.run.code().has_value());
      CHECK(campaign.left() == "");
    }
  }
  campaign.del();
  CHECK(killed > 5);
  CHECK(campaign.left() == "");
}

void check_failing(const char* name, int error) {
  const Campaign campaign(name);
  int when = 1;
  int failed = 0;
  for (; when < kNoEnd; ++when) {
    const Fault fault{.kind = Fault::Kind::kFail, .error = error, .when = when};
    const FaultyRun result = campaign.add(fault);
    if (!result.happened) break;
    INFO(describe(fault, result));
    CHECK(result.run.signal == 0);
    if (result.run.ok()) {
      CHECK(result.run.document.is_object());
      campaign.del();
      continue;
    }
    ++failed;
    CHECK(result.run.code().has_value());
    const std::string left = campaign.left();
    CHECK(left == "");
    if (!left.empty()) campaign.del();  // or every call after this one would be blamed too
  }
  campaign.del();
  CHECK(failed > 5);
  CHECK(campaign.left() == "");
}

TEST_CASE("DEL clears what a killed loopback left", "[cli][netns]") { check_killed("loopback"); }
TEST_CASE("DEL clears what a killed bridge left", "[cli][netns]") {
  check_killed("bridge-dual-stack");
}
TEST_CASE("DEL clears what a killed bridge with iptables left", "[cli][netns]") {
  check_killed("bridge-masquerade-iptables");
}
TEST_CASE("DEL clears what a killed bridge with spoof check left", "[cli][netns]") {
  check_killed("bridge-spoof-check");
}
TEST_CASE("DEL clears what a killed ptp left", "[cli][netns]") {
  check_killed("ptp-masquerade-nftables");
}
TEST_CASE("DEL clears what a killed macvlan left", "[cli][netns]") { check_killed("macvlan"); }
TEST_CASE("DEL clears what a killed host-local left", "[cli][netns]") {
  check_killed("host-local");
}
TEST_CASE("DEL clears what a killed static left", "[cli][netns]") { check_killed("static"); }

TEST_CASE("bridge leaves nothing when a program it runs is killed", "[cli][netns]") {
  check_delegate_killed("bridge-masquerade-iptables");
}
TEST_CASE("ptp leaves nothing when its delegate is killed", "[cli][netns]") {
  check_delegate_killed("ptp");
}
TEST_CASE("macvlan leaves nothing when its delegate is killed", "[cli][netns]") {
  check_delegate_killed("macvlan");
}

TEST_CASE("loopback leaves nothing when a system call fails for want of memory", "[cli][netns]") {
  check_failing("loopback", ENOMEM);
}
TEST_CASE("loopback leaves nothing when a system call fails on its device", "[cli][netns]") {
  check_failing("loopback", EIO);
}
TEST_CASE("bridge leaves nothing when a system call fails for want of memory", "[cli][netns]") {
  check_failing("bridge-dual-stack", ENOMEM);
}
TEST_CASE("bridge leaves nothing when a system call fails on its device", "[cli][netns]") {
  check_failing("bridge-dual-stack", EIO);
}
TEST_CASE("bridge with iptables leaves nothing when a system call fails", "[cli][netns]") {
  check_failing("bridge-masquerade-iptables", ENOMEM);
}
TEST_CASE("bridge with spoof check leaves nothing when a system call fails", "[cli][netns]") {
  check_failing("bridge-spoof-check", EIO);
}
TEST_CASE("ptp leaves nothing when a system call fails for want of memory", "[cli][netns]") {
  check_failing("ptp-masquerade-nftables", ENOMEM);
}
TEST_CASE("ptp leaves nothing when a system call fails on its device", "[cli][netns]") {
  check_failing("ptp", EIO);
}
TEST_CASE("macvlan leaves nothing when a system call fails for want of memory", "[cli][netns]") {
  check_failing("macvlan", ENOMEM);
}
TEST_CASE("macvlan leaves nothing when a system call fails on its device", "[cli][netns]") {
  check_failing("macvlan", EIO);
}
TEST_CASE("host-local leaves nothing when a system call fails for want of memory", "[cli][netns]") {
  check_failing("host-local", ENOMEM);
}
TEST_CASE("host-local leaves nothing when a system call fails on its device", "[cli][netns]") {
  check_failing("host-local", EIO);
}
TEST_CASE("static leaves nothing when a system call fails for want of memory", "[cli][netns]") {
  check_failing("static", ENOMEM);
}

}  // namespace
}  // namespace cni::test
