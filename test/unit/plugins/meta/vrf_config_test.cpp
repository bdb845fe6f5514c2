// Each key of vrf with a wrong type or value is refused before anything is touched: there is no
// namespace.
#include "plugins/meta/vrf/config.hpp"

#include "test/support/catch.hpp"
#include "test/support/run_plugin.hpp"

using namespace cni;
using namespace cni::test;

namespace {

std::string config_text(const json& more, const json& prev_result = json::object()) {
  json config = {{"cniVersion", "1.1.0"}, {"name", "testnet"}, {"type", "vrf"}};
  config.update(more);
  if (!prev_result.is_null()) config["prevResult"] = prev_result;
  return config.dump();
}

PluginRun run(const char* command, const std::string& input) {
  Call call;
  call.command = command;
  call.netns = "/no/such/netns";
  call.input = input;
  return call_in_process(plugin_named("vrf"), call);
}

void check_refused(const json& more, int code, const std::string& msg_start) {
  for (const char* command : {"ADD", "CHECK", "STATUS"}) {
    const PluginRun refused = run(command, config_text(more));
    INFO(command << " " << more.dump() << "\n" << refused.describe());
    check_error(refused, code, msg_start);
  }
}

vrf::Config config_of(const json& more, bool readable = false) {
  skel::Request request;
  request.container_id = "c1";
  request.ifname = "eth0";
  request.config = NetConf::parse(config_text(more));
  request.config.read_shared_keys(readable ? Strictness::kLenient : Strictness::kStrict);
  return readable ? vrf::parse_readable(request) : vrf::parse(request);
}

constexpr const char* kMissing = "configuration is expected to have a valid vrf name";
constexpr const char* kNoName = "cannot be the name of an interface: it has to have 1 to 15";

}  // namespace

TEST_CASE("vrf refuses wrong types by key") {
  check_refused({{"vrfname", 5}}, 6,
                "failed to load netconf: vrfname: expected a string, got the number 5");
  const std::string integer =
      "failed to load netconf: table: expected an integer from 0 to "
      "4294967295, got the ";
  for (const auto& [table, got] : {std::pair<json, std::string>{"10", "string \"10\""},
                                   {-1, "number -1"},
                                   {4294967296, "number 4294967296"},
                                   {1.5, "number 1.5"}}) {
    check_refused({{"vrfname", "blue"}, {"table", table}}, 6, integer + got);
  }
}

TEST_CASE("vrf refuses a name that cannot be one and says why") {
  check_refused(json::object(), 7, kMissing);
  check_refused({{"vrfname", ""}}, 7, kMissing);
  for (const std::string name : {"sixteen-letters.", "a/b", "a b", "a:b", ".", "..", "a\tb"}) {
    const PluginRun refused = run("ADD", config_text({{"vrfname", name}}));
    INFO(refused.describe());
    check_error(refused, 7, "vrfname: \"");
    CHECK(refused.msg().find(kNoName) != std::string::npos);
  }
  check_error(run("ADD", config_text({{"vrfname", "eth0"}})), 7,
              "Netlink eth0 is not a VRF: vrfname names the container's interface itself");
}

TEST_CASE("vrf stands behind another plugin") {
  for (const char* command : {"ADD", "CHECK"}) {
    check_error(run(command, config_text({{"vrfname", "blue"}}, nullptr)), 7,
                "missing prevResult from earlier plugin");
  }
}

TEST_CASE("vrf takes every name that a link can have") {
  for (const std::string name : {"a", "fifteen-letters", "a.b.c", "vrf-1_x", "bl\xc3\xbc"}) {
    CHECK(config_of({{"vrfname", name}}).name == name);
  }
}

TEST_CASE("vrf reads its keys and defaults") {
  CHECK(config_of({{"vrfname", "blue"}}).table == 0);
  CHECK(config_of({{"vrfName", "blue"}, {"Table", 4294967295}}).table == 4294967295);
  CHECK(config_of({{"vrfname", "blue"}, {"table", nullptr}}).table == 0);
}

TEST_CASE("vrf DEL takes of the configuration what can be read") {
  CHECK(config_of({{"vrfname", "blue"}, {"table", "x"}}, true).name == "blue");
  CHECK(config_of({{"vrfname", 7}}, true).name.empty());
  CHECK(config_of({{"vrfname", "a/b"}}, true).name.empty());
  CHECK(config_of({{"vrfname", "eth0"}}, true).name.empty());
  CHECK(run("DEL", config_text({{"vrfname", 7}})).ok());
}

TEST_CASE("vrf speaks the versions that the reference has it for") {
  Call call;
  call.command = "VERSION";
  const PluginRun version = call_in_process(plugin_named("vrf"), call);
  CHECK(version.document.at("supportedVersions") ==
        json::array({"0.3.1", "0.4.0", "1.0.0", "1.1.0"}));
}
