#include "libcni/runtime.hpp"
#include "test/unit/libcni/fake_plugins.hpp"

namespace cni::libcni {
namespace {

using test::json;
using State = Reconciled::State;

// Knows RECONCILE; without an attachment it says what is missing, as our plugins do.
constexpr const char* kKnowing = R"(
case $CNI_COMMAND in
  ADD) echo '{"cniVersion":"1.1.0","ips":[{"address":"10.0.0.2/24"}]}' ;;
  RECONCILE)
    if [ -z "$CNI_CONTAINERID" ]; then
      echo '{"code":4,"msg":"required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME] missing"}'
      exit 1
    fi
    echo '{"cniVersion":"1.1.0","restored":[{"what":"rule","missing":"gone"}]}' ;;
esac)";

TEST_CASE("reconcile asks with the cached result and runtimeConfig and tells what was restored") {
  FakePlugins fake;
  fake.plant_script("first", kKnowing);
  const json plugins = json::parse(R"([{"type":"first","capabilities":{"mac":true}}])");
  const Network network = network_of({}, "1.1.0", {{"plugins", plugins}});
  ContainerInterface where = container();
  where.capability_args = R"({"mac":"02:00:00:00:00:01"})";
  const Runtime runtime = fake.runtime();
  (void)runtime.add(network, where);
  (void)fake.take_log();
  const auto out = runtime.reconcile(network, where);
  REQUIRE(out.size() == 1);
  CHECK(out[0].state == State::kRestored);
  CHECK(out[0].knows_verb);
  REQUIRE(out[0].restored.size() == 1);
  CHECK(out[0].restored[0].what == "rule");
  const auto log = fake.take_log();
  REQUIRE(log.size() == 2);
  CHECK(log[0].call == "RECONCILE first");
  CHECK_FALSE(log[0].config.contains("prevResult"));
  CHECK(log[1].call == "RECONCILE first");
  CHECK(log[1].config.at("prevResult").at("ips").at(0).at("address") == "10.0.0.2/24");
  CHECK(log[1].config.at("runtimeConfig").at("mac") == "02:00:00:00:00:01");
}

TEST_CASE("a plugin that answers RECONCILE in whatever other way is asked for CHECK") {
  struct Row {
    const char* answer;
    State state;
  };
  const Row rows[] = {
      {R"(echo '{"code":4,"msg":"unknown CNI_COMMAND: RECONCILE"}'; exit 1)", State::kChecked},
      {"echo '{}'", State::kChecked},
      {"true", State::kChecked},
      {"echo unknown command; exit 1", State::kChecked},
      {"kill -9 $$", State::kChecked},
  };
  for (const Row& row : rows) {
    INFO(row.answer);
    FakePlugins fake;
    fake.plant_script(
        "other", cat("case $CNI_COMMAND in ADD) echo '{}' ;; RECONCILE) ", row.answer, " ;; esac"));
    const Network network = network_of({"other"});
    const Runtime runtime = fake.runtime();
    (void)runtime.add(network, container());
    (void)fake.take_log();
    const auto out = runtime.reconcile(network, container());
    REQUIRE(out.size() == 1);
    CHECK(out[0].state == row.state);
    CHECK_FALSE(out[0].knows_verb);
    // Never asked for more than whether it knows the verb.
    const auto log = fake.take_log();
    REQUIRE(log.size() == 2);
    CHECK_FALSE(log[0].config.contains("prevResult"));
    CHECK(log[1].call == "CHECK other");
  }
}

TEST_CASE("reconcile goes on after a failure and says what to do where only CHECK is known") {
  FakePlugins fake;
  fake.plant_script("first",
                    R"(case $CNI_COMMAND in ADD) echo '{}' ;; CHECK) echo no >&2; exit 1 ;; esac)");
  fake.plant_script("second", kKnowing);
  const Network network = network_of({"first", "second"});
  const Runtime runtime = fake.runtime();
  (void)runtime.add(network, container());
  const auto out = runtime.reconcile(network, container());
  REQUIRE(out.size() == 2);
  CHECK(out[0].state == State::kFailed);
  REQUIRE(out[0].error);
  CHECK(std::string(out[0].error->what()).find("delete and add the attachment again") !=
        std::string::npos);
  CHECK(std::string(out[0].error->what()).find("container \"one\"") != std::string::npos);
  CHECK(out[1].state == State::kRestored);
}

TEST_CASE("a network that disables CHECK leaves plugins that know only that unchecked") {
  FakePlugins fake;
  fake.plant("first");
  const Network network = network_of({"first"}, "1.1.0", {{"disableCheck", true}});
  const Runtime runtime = fake.runtime();
  (void)runtime.add(network, container());
  (void)fake.take_log();
  const auto out = runtime.reconcile(network, container());
  REQUIRE(out.size() == 1);
  CHECK(out[0].state == State::kUnchecked);
  CHECK(fake.take_calls() == "RECONCILE first");
}

TEST_CASE("reconcile runs nothing without an attachment or for a version without CHECK") {
  FakePlugins fake;
  fake.plant("first", R"({"cniVersion":"0.3.1"})");
  const Runtime runtime = fake.runtime();
  CHECK(runtime.reconcile(network_of({"first"}), container()).empty());
  const Network old = network_of({"first"}, "0.3.1");
  (void)runtime.add(old, container());
  (void)fake.take_log();
  CHECK(failure_of([&] { (void)runtime.reconcile(old, container()); }) ==
        "1 configuration version \"0.3.1\" does not support the RECONCILE command; network "
        "\"net\", container \"one\", interface \"eth0\"; it needs 0.4.0 or newer");
  CHECK(fake.take_calls().empty());
}

}  // namespace
}  // namespace cni::libcni
