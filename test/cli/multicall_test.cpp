// One executable with every plugin does what the separate ones do.
#include <unistd.h>

#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/netns_fixture.hpp"
#include "test/support/run_plugin.hpp"

using namespace cni::test;

namespace {

const std::string kFolder = CNI_TEST_MULTICALL_DIR;
const std::string kExecutable = kFolder + "/cni-plugins";

}  // namespace

TEST_CASE("every plugin is a link to the multi-call executable and answers as its own one") {
  for (const std::string& plugin : plugin_executables()) {
    CAPTURE(plugin);
    char target[64] = {};
    REQUIRE(::readlink((kFolder + "/" + plugin).c_str(), target, sizeof target - 1) > 0);
    CHECK(std::string(target) == "cni-plugins");
    Call version;
    version.command = "VERSION";
    CHECK(call(kFolder + "/" + plugin, version).out == call(plugin, version).out);
    Call about;
    CHECK(call(kFolder + "/" + plugin, about).err == call(plugin, about).err);
  }
}

TEST_CASE("the multi-call executable takes the plugin's name as its first argument") {
  const auto with_argument = [](const std::string& argument) {
    return cni::os::run({.path = kExecutable, .argv = {kExecutable, argument}, .input = {}});
  };
  CHECK(with_argument("loopback").err.starts_with("CNI loopback plugin "));
  const cni::os::Exit unknown = with_argument("nosuch");
  CHECK(unknown.status == 2);
  CHECK(unknown.out.empty());
  CHECK(unknown.err.starts_with("usage: cni-plugins PLUGIN"));
  CHECK(unknown.err.find(" bridge") != std::string::npos);
  const cni::os::Command alone{.path = kExecutable, .argv = {kExecutable}, .input = {}};
  CHECK(cni::os::run(alone).status == 2);
}

TEST_CASE("the multi-call executable attaches and detaches with its links as delegates",
          "[netns]") {
  Namespaces spaces;
  Call call_add;
  call_add.command = "ADD";
  call_add.netns = spaces.container("c1");
  call_add.path = kFolder;
  call_add.input =
      R"({"cniVersion":"1.1.0","name":"testnet","type":"bridge","isGateway":true,
          "ipam":{"type":"host-local","subnet":"10.22.0.0/16"}})";
  const PluginRun added = call(kFolder + "/bridge", call_add);
  INFO(added.describe());
  REQUIRE(added.ok());
  CHECK(addresses_on("c1", "eth0") == std::vector<std::string>{"10.22.0.2/16"});
  Call call_del = call_add;
  call_del.command = "DEL";
  CHECK(call(kFolder + "/bridge", call_del).ok());
  CHECK_FALSE(find_link_json("c1", "eth0"));
}
