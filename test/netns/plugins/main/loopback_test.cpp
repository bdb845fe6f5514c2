#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"

using namespace cni::test;

namespace {

const json kConfig = {{"type", "loopback"}};

bool lo_is_up(const std::string& container) {
  const auto link = find_link_json(container, "lo");
  REQUIRE(link);
  const json& flags = link->at("flags");
  return std::find(flags.begin(), flags.end(), "UP") != flags.end();
}

}  // namespace

TEST_CASE("loopback goes up with ADD and down with DEL at every version", "[netns]") {
  const std::string version =
      GENERATE("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0");
  CAPTURE(version);
  PluginNode node;
  node.spaces.container("c1");
  json config = kConfig;
  config["cniVersion"] = version;
  REQUIRE_FALSE(lo_is_up("c1"));

  const json result = node.add(config);
  CHECK(lo_is_up("c1"));
  CHECK(result.at("cniVersion") == version);
  if (version >= "0.4.0") node.check(config, result);
  node.del(config);
  CHECK_FALSE(lo_is_up("c1"));
  node.del(config);
}

TEST_CASE("loopback reports lo with its addresses", "[netns]") {
  PluginNode node;
  const std::string path = node.spaces.container("c1");
  const json result = node.add(kConfig);
  CHECK(result.at("interfaces") ==
        json::array({{{"name", "lo"}, {"mac", "00:00:00:00:00:00"}, {"sandbox", path}}}));
  CHECK(result.at("ips") == json::array({{{"address", "127.0.0.1/8"}, {"interface", 0}},
                                         {{"address", "::1/128"}, {"interface", 0}}}));
}

TEST_CASE("loopback passes an earlier plugin's result through", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  const json earlier = {{"cniVersion", "1.1.0"},
                        {"interfaces", json::array({{{"name", "eth0"}}})},
                        {"ips", json::array({{{"address", "10.1.0.2/24"}, {"interface", 0}}})}};
  const PluginRun run = node.run("ADD", kConfig, "c1", earlier);
  REQUIRE(run.ok());
  CHECK(run.document == earlier);
  CHECK(lo_is_up("c1"));
}

TEST_CASE("loopback refuses a lo with an address of the network and sets it down again",
          "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  (void)ip({"-n", "c1", "address", "add", "10.1.0.2/24", "dev", "lo"});
  const PluginRun run = node.run("ADD", kConfig);
  check_error(run, 106, "loopback interface found with non-loopback address \"10.1.0.2/24\"");
  CHECK_FALSE(lo_is_up("c1"));
}

TEST_CASE("loopback CHECK says that lo is down", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  const json result = node.add(kConfig);
  (void)ip({"-n", "c1", "link", "set", "lo", "down"});
  check_error(node.run("CHECK", kConfig, "c1", result), 105, "loopback interface is down");
}
