// Each key of tuning with a wrong type, value or combination: refused with a code and a sentence
// that names it, before anything is touched.
#include "plugins/meta/tuning/config.hpp"

#include "test/support/catch.hpp"
#include "test/support/refused_config.hpp"

using namespace cni;
using namespace cni::test;

namespace {

// No call of these gets as far as to its prevResult.
PluginRun run_text(const char* command, const std::string& input, const std::string& args = {}) {
  Call call;
  call.command = command;
  call.netns = "/no/such/netns";
  call.input = input;
  call.args = args;
  return call_in_process(plugin_named("tuning"), call);
}

void check_all(const std::vector<BadConfig>& cases) { check_refused("tuning", cases); }

std::string wrong(const std::string& key, const std::string& expected, const std::string& got) {
  return "failed to load netconf: " + key + ": expected " + expected + ", got " + got;
}

constexpr const char* kUnsigned = "an integer from 0 to 4294967295";

// What ADD is to set.
tuning::Config parsed(const json& config, const std::string& args = {},
                      const std::string& ifname = "eth0") {
  skel::Request request;
  request.ifname = ifname;
  request.args = args;
  request.stdin_data = config.dump();
  request.config = NetConf::parse(request.stdin_data);
  return tuning::parse(request);
}

}  // namespace

TEST_CASE("tuning refuses wrong types by key") {
  check_all({
      {{{"sysctl", "net.core.somaxconn=1"}}, 6, wrong("sysctl", "an object", "the string")},
      {{{"sysctl", {{"net.core.somaxconn", 1}}}},
       6,
       wrong("sysctl.net.core.somaxconn", "a string", "the number 1")},
      {{{"mac", "02:00"}}, 6, wrong("mac", "a MAC address", "the string \"02:00\"")},
      {{{"promisc", 1}}, 6, wrong("promisc", "true or false", "the number 1")},
      {{{"mtu", "1400"}}, 6, wrong("mtu", kUnsigned, "the string \"1400\"")},
      {{{"mtu", -1}}, 6, wrong("mtu", kUnsigned, "the number -1")},
      {{{"allmulti", "yes"}}, 6, wrong("allmulti", "true or false", "the string \"yes\"")},
      {{{"txQLen", -1}}, 6, wrong("txQLen", kUnsigned, "the number -1")},
      {{{"dataDir", 5}}, 6, wrong("dataDir", "a string", "the number 5")},
      {{{"args", {{"cni", {{"mtu", "x"}}}}}},
       6,
       wrong("args.cni.mtu", kUnsigned, "the string \"x\"")},
      {{{"runtimeConfig", {{"mac", 5}}}},
       6,
       wrong("runtimeConfig.mac", "a string", "the number 5")},
  });
}

TEST_CASE("tuning refuses wrong values") {
  check_all({
      {{{"sysctl", {{"kernel.hostname", "x"}}}}, 7, "invalid net sysctl key: \"kernel.hostname\""},
      {{{"sysctl", {{"net/../kernel/hostname", "x"}}}}, 7, "invalid net sysctl key: "},
      {{{"args", {{"cni", {{"sysctl", {{"vm.swappiness", "x"}}}}}}}},
       7,
       "invalid net sysctl key: \"vm.swappiness\""},
      {{{"sysctl",
         {{"net.core.somaxconn", std::string("1\0"
                                             "2",
                                             3)}}}},
       7,
       "sysctl: the value of net.core.somaxconn contains NUL"},
      {{{"dataDir", "run/tuning"}}, 7, "dataDir: an absolute path is needed, got \"run/tuning\""},
      {{{"dataDir", "/run/../etc"}}, 7, "dataDir: a path without \"..\" is needed"},
      {{{"dataDir", "/run/.."}}, 7, "dataDir: a path without \"..\" is needed"},
  });
}

TEST_CASE("tuning refuses a sysctl that is written twice") {
  const std::string start = R"({"cniVersion":"1.1.0","name":"n","type":"tuning",)";
  const std::vector<std::string> rests = {
      R"("sysctl":{"net.core.x":"1","net.core.x":"2"}})",
      R"("Sysctl":{"net.core.x":"1","net.core.x":"1"}})",
      R"("sysctl":{"net.core.x":"1"},"sysctl":{"net.core.x":"2"}})",
      R"("sysctl":{"net.core.x":"1"},"SYSCTL":{"net.core.y":"2"}})",
      R"("sysctl":{"net.core.x":"1","net/core/x":"2"}})",
      R"("sysctl":{"net.ipv4.conf.IFNAME.x":"1","net.ipv4.conf.eth0.x":"2"}})",
      R"("args":{"cni":{"sysctl":{"net.core.x":"1","net.core.x":"2"}}}})",
      R"("args":{"cni":{"sysctl":{"net.core.x":"1"},"sysctl":{"net.core.y":"2"}}}})"};
  for (const std::string& rest : rests) {
    for (const char* command : {"ADD", "CHECK"}) {
      INFO(command << " " << rest);
      check_error(run_text(command, start + rest), 7, "duplicated sysctl keys are not allowed");
    }
  }
  // The same name elsewhere is another thing.
  const std::string other =
      R"("sysctl":{"net.core.x":"1"},"x":{"net.core.x":1},"args":{"cni":{"sysctl":{"net.core.x":"2"}}}})";
  check_error(run_text("ADD", start + other), 7, "Required prevResult missing");
}

TEST_CASE("tuning has to stand behind another plugin") {
  for (const char* command : {"ADD", "CHECK"}) {
    check_error(run_without_netns("tuning", command, {{"mtu", 1400}}), 7,
                "Required prevResult missing");
  }
}

TEST_CASE("tuning takes the MAC address from the place that goes first") {
  const auto mac_of = [](const json& config, const std::string& args = {}) {
    return parsed(config, args).settings.mac.value_or(Mac()).to_string();
  };
  json config = {{"name", "n"}};
  CHECK(mac_of(config).empty());
  config["mac"] = "02:00:00:00:00:0A";
  CHECK(mac_of(config) == "02:00:00:00:00:0a");
  CHECK(mac_of(config, "MAC=02:00:00:00:00:02") == "02:00:00:00:00:02");
  config["runtimeConfig"] = {{"mac", "02:00:00:00:00:03"}};
  CHECK(mac_of(config, "MAC=02:00:00:00:00:02") == "02:00:00:00:00:03");
  config["args"] = {{"cni", {{"mac", "02:00:00:00:00:04"}}}};
  CHECK(mac_of(config, "MAC=02:00:00:00:00:02") == "02:00:00:00:00:04");
  check_error(run_text("ADD", R"({"cniVersion":"1.1.0","name":"n","type":"tuning"})", "X=1"), 4,
              "ARGS: unknown args");
}

TEST_CASE("tuning lets arguments go before the configuration key by key") {
  const auto config = parsed({{"name", "n"},
                              {"promisc", true},
                              {"mtu", 1400},
                              {"allmulti", true},
                              {"txQLen", 5},
                              {"sysctl", {{"net.core.a", "1"}, {"net.core.b", "2"}}},
                              {"args",
                               {{"cni",
                                 {{"promisc", false},
                                  {"mtu", 1300},
                                  {"txQLen", 0},
                                  {"sysctl", {{"net/core/b", "3"}, {"net.core.c", "4"}}}}}}}});
  const tuning::Settings& settings = config.settings;
  CHECK(settings.promiscuous == false);
  CHECK(settings.mtu == 1300U);
  CHECK(settings.all_multicast == true);
  CHECK(settings.tx_queue_length == 0U);
  std::vector<std::string> sysctls;
  for (const auto& each : settings.sysctls) {
    sysctls.push_back(each.parameter.name() + "=" + each.value);
  }
  CHECK(sysctls == std::vector<std::string>{"net/core/a=1", "net/core/b=3", "net/core/c=4"});
  CHECK(config.sysctl_keys ==
        std::vector<std::string>{"net.core.a", "net.core.b", "net.core.c", "net/core/b"});
}

TEST_CASE("tuning touches nothing that is not configured") {
  for (const json& config :
       {json{{"name", "n"}}, json{{"name", "n"}, {"mtu", 0}, {"mac", ""}, {"sysctl", nullptr}},
        json{{"name", "n"}, {"promisc", nullptr}, {"allmulti", nullptr}, {"txQLen", nullptr}}}) {
    INFO(config.dump());
    CHECK(parsed(config).settings.empty());
  }
  CHECK(parsed({{"name", "n"}}).data_dir == "/run/cni/tuning");
}
