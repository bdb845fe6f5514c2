// A thousand containers come to a cold host at once, and go at once.
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "pkg/os/file.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/scenario.hpp"
#include "test/support/snapshot.hpp"

namespace cni::test {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr int kContainers = 200;  // each execution takes many times as long
#else
constexpr int kContainers = 1000;  // a bridge has room for 1023 ports
#endif
constexpr int kVlanContainers = 100;
constexpr int kLimitedContainers = 100;
constexpr int kWorkers = 64;

std::string name_of(int index) { return "c" + std::to_string(index); }

// What came back from all calls of one verb; filled by many threads.
struct Outcome {
  std::mutex mutex;
  std::vector<std::string> failures;
  std::multiset<std::string> addresses;

  void note(const PluginRun& run) {
    const std::lock_guard lock(mutex);
    if (!run.ok() && failures.size() < 5) failures.push_back(run.describe());
    if (!run.ok() || !run.document.is_object()) return;
    for (const json& ip : run.document.value("ips", json::array())) {
      addresses.insert(ip.at("address").get<std::string>());
    }
  }
};

// Calls fn(index) for every container, kWorkers at a time.
template <class Fn>
void for_all(int containers, Fn&& fn) {
  std::atomic<int> next = 0;
  std::vector<std::thread> workers;
  for (int i = 0; i < kWorkers; ++i) {
    workers.emplace_back([&] {
      for (int index = next++; index < containers; index = next++) fn(index);
    });
  }
  for (std::thread& worker : workers) worker.join();
}

void run_all(const Scenario& what, const char* command, Outcome& outcome) {
  for_all(kContainers, [&](int index) {
    outcome.note(call(what.plugin, call_of(what, command, name_of(index))));
  });
}

void check_no_failures(const Outcome& outcome) {
  for (const std::string& failure : outcome.failures) {
    INFO(failure);
    CHECK(false);
  }
}

std::size_t reservations() {
  std::size_t count = 0;
  for (const std::string& name : os::list_directory("/var/lib/cni/networks/testnet")) {
    if (name.find("10.") == 0) ++count;
  }
  return count;
}

void check_thousand(const char* name, std::size_t addresses_each) {
  const Scenario& what = scenario(name);
  require_for(what);
  Namespaces namespaces;
  prepare_host(what);
  const Snapshot before = without_shared(take({}));
  // Address management does without namespaces.
  const bool needs_netns = what.plugin != "host-local";
  for (int i = 0; needs_netns && i < kContainers; ++i) (void)namespaces.container(name_of(i));

  Outcome added;
  run_all(what, "ADD", added);
  check_no_failures(added);
  const std::size_t addresses = kContainers * addresses_each;
  CHECK(added.addresses.size() == addresses);
  CHECK(std::set<std::string>(added.addresses.begin(), added.addresses.end()).size() == addresses);
  CHECK(reservations() == kContainers);

  Outcome deleted;
  run_all(what, "DEL", deleted);
  check_no_failures(deleted);
  CHECK(reservations() == 0);
  CHECK(diff(before, without_shared(take({}))) == "");
}

TEST_CASE("a thousand containers on a bridge with nftables", "[cli][netns]") {
  check_thousand("bridge-masquerade-nftables", 1);
}

TEST_CASE("a thousand containers on a bridge with iptables", "[cli][netns]") {
  check_thousand("bridge-masquerade-iptables", 1);
}

// They come and go all the time, so that the VLAN's last port goes again and again while others
// come.
TEST_CASE("the gateway of a VLAN is there while any container of the VLAN is", "[cli][netns]") {
  const Scenario& what = scenario("bridge-vlan");
  require_for(what);
  Namespaces namespaces;
  const Snapshot before = without_shared(take({}));
  for (int i = 0; i < kVlanContainers; ++i) (void)namespaces.container(name_of(i));
  Outcome outcome;
  std::atomic<int> without_gateway = 0;
  const auto has_gateway = [] { return ::access("/sys/class/net/cni0.100", F_OK) == 0; };
  for_all(kVlanContainers, [&](int index) {
    for (const char* command : {"ADD", "DEL", "ADD", "DEL"}) {
      const PluginRun run = call(what.plugin, call_of(what, command, name_of(index)));
      outcome.note(run);
      if (*command == 'A' && run.ok() && !has_gateway()) ++without_gateway;
    }
  });
  check_no_failures(outcome);
  CHECK(outcome.addresses.size() == 2 * kVlanContainers);
  CHECK(without_gateway == 0);
  CHECK_FALSE(has_gateway());
  CHECK(diff(before, without_shared(take({}))) == "");

  // A gateway without an address would be none.
  REQUIRE(call(what.plugin, call_of(what, "ADD", name_of(0))).ok());
  CHECK(addresses_on("", "cni0.100") == std::vector<std::string>{"10.88.0.1/16"});
}

void check_ports(const char* name) {
  const Scenario& what = scenario(name);
  require_for(what);
  Namespaces namespaces;
  prepare_host(what);
  const Snapshot before = without_shared(take({}));
  for (const char* command : {"ADD", "DEL"}) {
    Outcome outcome;
    run_all(what, command, outcome);
    check_no_failures(outcome);
  }
  CHECK(diff(before, without_shared(take({}))) == "");
}

TEST_CASE("a thousand containers publish ports with iptables at once", "[cli][netns]") {
  check_ports("portmap-iptables");
}

TEST_CASE("a thousand containers publish ports with nftables at once", "[cli][netns]") {
  check_ports("portmap-nftables");
}

TEST_CASE("a hundred containers are limited at once", "[cli][netns][kind:ifb]") {
  const Scenario& what = scenario("bandwidth");
  require_for(what);
  Namespaces namespaces;
  for (int i = 0; i < kLimitedContainers; ++i) {
    (void)namespaces.container(name_of(i));
    connect_container(what, name_of(i));
  }
  const Snapshot before = without_shared(take({}));
  for (const char* command : {"ADD", "CHECK", "DEL"}) {
    Outcome outcome;
    for_all(kLimitedContainers, [&](int index) {
      const std::string name = name_of(index);
      const bool is_check = std::string_view(command) == "CHECK";
      const json result =
          is_check ? json::parse(config_text(what, "1.1.0", nullptr, name)).at("prevResult")
                   : json();
      outcome.note(call(what.plugin, call_of(what, command, name, "1.1.0", result)));
    });
    check_no_failures(outcome);
  }
  CHECK(diff(before, without_shared(take({}))) == "");
}

TEST_CASE("a hundred containers are tuned at once", "[cli][netns]") {
  constexpr int kTuned = 100;
  const Scenario& what = scenario("tuning");
  Namespaces namespaces;
  const Snapshot before = without_shared(take({}));
  for (int i = 0; i < kTuned; ++i) {
    (void)namespaces.container(name_of(i));
    prepare_container(what, name_of(i));
  }
  const auto is_tuned = [](int index) {
    return find_link_json(name_of(index), "eth0").value().at("mtu") == 1400;
  };
  for (const char* command : {"ADD", "DEL"}) {
    Outcome outcome;
    for_all(kTuned, [&](int index) {
      outcome.note(call(what.plugin, call_of(what, command, name_of(index))));
    });
    check_no_failures(outcome);
    for (int i = 0; i < kTuned; ++i) CHECK(is_tuned(i) == (std::string_view(command) == "ADD"));
  }
  CHECK(diff(before, without_shared(take({}))) == "");
}

TEST_CASE("a thousand reservations at once", "[cli]") { check_thousand("host-local", 2); }

}  // namespace
}  // namespace cni::test
