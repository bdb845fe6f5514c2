// Each key of bandwidth with a wrong type, value or combination: refused with a code and a sentence
// that names it, before anything is touched.
#include "test/support/catch.hpp"
#include "test/support/refused_config.hpp"

using namespace cni::test;

namespace {

void check_all(const std::vector<BadConfig>& cases) {
  check_refused("bandwidth", cases, "failed to parse network configuration: ");
}

json runtime(const json& limits) { return {{"runtimeConfig", {{"bandwidth", limits}}}}; }

std::string wrong(const std::string& key, const std::string& expected, const std::string& got) {
  return key + ": expected " + expected + ", got " + got;
}

constexpr const char* kUnsigned = "an integer from 0 to 18446744073709551615";

}  // namespace

TEST_CASE("bandwidth refuses wrong types by key") {
  std::vector<BadConfig> cases = {
      {{{"latency", "25ms"}},
       6,
       wrong("latency", "an integer from 0 to 4294967295", "the string \"25ms\"")},
      {{{"qdisc", 1}}, 6, wrong("qdisc", "a string", "the number 1")},
      {{{"shapedSubnets", "10.0.0.0/8"}},
       6,
       wrong("shapedSubnets", "an array", "the string \"10.0.0.0/8\"")},
      {{{"unshapedSubnets", {1}}}, 6, wrong("unshapedSubnets[0]", "a string", "the number 1")},
      {runtime(5), 6, wrong("runtimeConfig.bandwidth", "an object", "the number 5")},
  };
  for (const char* key : {"ingressRate", "ingressBurst", "egressRate", "egressBurst"}) {
    cases.push_back({{{key, "1M"}}, 6, wrong(key, kUnsigned, "the string \"1M\"")});
    cases.push_back({{{key, -1}}, 6, wrong(key, kUnsigned, "the number -1")});
    const std::string path = std::string("runtimeConfig.bandwidth.") + key;
    cases.push_back({runtime({{key, true}}), 6, wrong(path, kUnsigned, "the boolean true")});
  }
  check_all(cases);
}

TEST_CASE("bandwidth refuses wrong values and combinations") {
  check_all({
      {{{"ingressBurst", 8000}},
       7,
       "if burst is set, rate must also be set: there is ingressBurst without ingressRate"},
      {runtime({{"egressBurst", 8000}}), 7, "if burst is set, rate must also be set"},
      {{{"egressRate", 8000}, {"egressBurst", 34359738360ULL}},
       7,
       "burst cannot be more than 4GB: egressBurst is 34359738360"},
      {{{"ingressRate", 7}}, 7, "ingressRate: 7 bits a second are less than"},
      {{{"latency", 0}}, 7, "latency: 0 milliseconds are not from 1 to 10000"},
      {{{"latency", 10001}}, 7, "latency: 10001 milliseconds"},
      {{{"qdisc", "cake"}}, 7, "unknown queueing discipline: \"cake\" (qdisc; known: tbf, htb)"},
      {{{"qdisc", "htb"}, {"latency", 25}}, 7, "latency: only tbf has it"},
      {{{"qdisc", "tbf"}, {"shapedSubnets", {"10.0.0.0/8"}}},
       7,
       "qdisc: tbf cannot tell networks apart"},
      {{{"shapedSubnets", {"10.0.0.0/8"}}, {"unshapedSubnets", {"fd00::/8"}}},
       7,
       "shapedSubnets and unshapedSubnets exclude each other"},
      {{{"unshapedSubnets", {"10.0.0.0"}}},
       7,
       "unshapedSubnets[0]: \"10.0.0.0\" is not an address with prefix length"},
  });
}

TEST_CASE("bandwidth has to stand behind another plugin") {
  const json limit = {{"ingressRate", 8000}};
  check_error(run_without_netns("bandwidth", "ADD", limit), 7, "must be called as chained plugin");
  check_error(run_without_netns("bandwidth", "CHECK", limit), 7,
              "must be called as a chained plugin");
  check_error(run_without_netns("bandwidth", "ADD", json::object()), 7,
              "must be called as chained plugin");
}

TEST_CASE("bandwidth without a rate hands on what it was given") {
  const json result = {{"cniVersion", "1.1.0"},
                       {"interfaces", json::array({{{"name", "eth0"}, {"sandbox", "/x"}}})},
                       {"ips", json::array({{{"address", "10.0.0.1/8"}, {"interface", 0}}})}};
  // The configuration's own keys count alone, even if they say that there is no limit.
  for (const json& limits :
       {json::object(), json({{"ingressRate", 0}}), json({{"ingressRate", nullptr}}),
        json({{"egressRate", 0}, {"runtimeConfig", {{"bandwidth", {{"egressRate", 8000}}}}}})}) {
    json config = limits;
    config["prevResult"] = result;
    const PluginRun run = run_without_netns("bandwidth", "ADD", config);
    INFO(config.dump() << "\n" << run.describe());
    REQUIRE(run.ok());
    CHECK(run.document == result);
    CHECK(run_without_netns("bandwidth", "CHECK", config).ok());
  }
}

TEST_CASE("bandwidth speaks the versions that tell interfaces") {
  const auto& versions = plugin_named("bandwidth").versions;
  REQUIRE(versions.size() == 5);
  CHECK(versions.front() == "0.3.0");
}
