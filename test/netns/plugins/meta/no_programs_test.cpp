// A host with the plugins and nothing else: no iptables, no nft, and an empty PATH.
#include <sys/mount.h>

#include <string>

#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/netns_fixture.hpp"
#include "test/support/plugin_node.hpp"

using namespace cni;
using namespace cni::test;

namespace {

// Hides what the folders of programs have, from this process alone.
class HiddenPrograms {
 public:
  explicit HiddenPrograms(const Namespaces& spaces) : empty_(spaces.folder() + "/no-programs") {
    run_ok({"mkdir", "-p", empty_});
    for (const char* folder : kFolders) {
      REQUIRE(::mount(empty_.c_str(), folder, nullptr, MS_BIND, nullptr) == 0);
    }
  }
  HiddenPrograms(const HiddenPrograms&) = delete;
  HiddenPrograms& operator=(const HiddenPrograms&) = delete;
  ~HiddenPrograms() {
    for (const char* folder : kFolders) CHECK(::umount2(folder, MNT_DETACH) == 0);
  }

 private:
  static constexpr const char* kFolders[] = {"/usr/sbin", "/usr/local/sbin"};
  std::string empty_;
};

// Two families.
const json kBridge = json::parse(R"({"type": "bridge", "bridge": "cni0", "isGateway": true,
  "ipMasq": true, "ipam": {"type": "host-local",
    "ranges": [[{"subnet": "10.22.0.0/16"}], [{"subnet": "fd00:22::/64"}]]}})");
const json kPortmap = json::parse(R"({"type": "portmap",
  "runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80}]}})");
const json kFirewall = {{"type", "firewall"}, {"ingressPolicy", "isolated"}};

}  // namespace

TEST_CASE("without any program the default backend is nftables", "[netns][nft]") {
  require_program("nft");
  PluginNode node;
  (void)node.spaces.container("c1");
  Call nowhere;
  nowhere.more_environment = {"PATH="};
  json result;
  {
    const HiddenPrograms hidden(node.spaces);
    result = node.add(kBridge, "c1", nowhere);
    for (const json& config : {kPortmap, kFirewall}) {
      const PluginRun run = node.run("ADD", config, "c1", result, nowhere);
      INFO(run.describe());
      REQUIRE(run.status == 0);
      CHECK(node.run("CHECK", config, "c1", result, nowhere).status == 0);
      CHECK(node.run("STATUS", config, "c1", nullptr, nowhere).status == 0);
    }
    CHECK(node.run("CHECK", kBridge, "c1", result, nowhere).status == 0);
  }
  const std::string ruleset = run_ok({"nft", "list", "ruleset"});
  INFO(ruleset);
  for (const char* table :
       {"inet cni_plugins_masquerade", "ip cni_hostport", "inet cni_firewall"}) {
    CHECK(ruleset.find(std::string("table ") + table) != std::string::npos);
  }
  CHECK(ruleset.find("CNI-") == std::string::npos);
  {
    const HiddenPrograms hidden(node.spaces);
    for (const json& config : {kFirewall, kPortmap, kBridge}) {
      CHECK(node.run("DEL", config, "c1", result, nowhere).status == 0);
    }
  }
  CHECK(run_ok({"nft", "list", "ruleset"}).find("id: c1") == std::string::npos);
}
