#include "cnitool/needs.hpp"

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "pkg/skel/plugin.hpp"
#include "test/support/catch.hpp"

using namespace cni;
using namespace cni::cnitool;
using nlohmann::json;

TEST_CASE("it is known what every plugin of the suite needs") {
  for (const skel::Plugin* plugin : skel::all_plugins()) {
    CAPTURE(plugin->name);
    CHECK(is_known_plugin(plugin->name));
  }
  for (const Need& need : all_needs()) {
    CAPTURE(need.plugin, need.argument);
    CHECK((need.plugin.empty() || is_known_plugin(need.plugin)));
    CHECK_FALSE(describe(need, nullptr).empty());
    // A condition without a name would be shown as something that is always needed.
    CHECK((need.is_used == nullptr || !need.use.empty()));
  }
}

TEST_CASE("a configuration tells which of the needs it has") {
  const auto used = [](const json& config) {
    std::set<std::string> out;
    for (const Need& need : all_needs()) {
      if (need.plugin == "bridge" && need.is_used != nullptr && need.is_used(config)) {
        out.insert(std::string(need.use));
      }
    }
    return out;
  };
  using Uses = std::set<std::string>;
  CHECK(used(json::object()).empty());
  CHECK(used({{"ipMasq", true}}) == Uses{"ipMasq"});
  CHECK(used({{"ipMasq", true}, {"ipMasqBackend", ""}}) == Uses{"ipMasq"});
  CHECK(used({{"ipMasq", true}, {"ipMasqBackend", "nftables"}}) == Uses{"ipMasqBackend nftables"});
  CHECK(used({{"ipMasq", true}, {"ipMasqBackend", "iptables"}}) == Uses{"ipMasqBackend iptables"});
  CHECK(used({{"ipMasq", false}, {"ipMasqBackend", "iptables"}}).empty());
  CHECK(used({{"macspoofchk", true}}) == Uses{"macspoofchk"});
  CHECK(used({{"isDefaultGateway", true}}) == Uses{"isGateway"});
  CHECK(used({{"vlan", 7}}) == Uses{"vlan, vlanTrunk"});
  CHECK(used({{"vlan", 0}, {"vlanTrunk", json::array()}}).empty());
  CHECK(used({{"vlanTrunk", json::array({{{"id", 7}}})}}) == Uses{"vlan, vlanTrunk"});
  // Values of the wrong type are the plugin's to refuse.
  CHECK(used({{"ipMasq", "yes"}, {"vlan", "7"}, {"vlanTrunk", 7}, {"macspoofchk", 1}}).empty());
}

TEST_CASE("the folder of a plugin's state is the one that the configuration names") {
  for (const Need& need : all_needs()) {
    if (need.what != Needed::kFolder) continue;
    INFO(need.plugin);
    const bool is_manager = need.plugin == "host-local";
    const std::string usual = is_manager ? "/var/lib/cni/networks" : "/run/cni/tuning";
    const auto with = [&](const json& folder) {
      const json section = {{"dataDir", folder}};
      return is_manager ? json{{"ipam", section}} : section;
    };
    CHECK(argument_of(need, nullptr) == usual);
    CHECK(argument_of(need, with("/run/x")) == "/run/x");
    CHECK(argument_of(need, with(7)) == usual);
  }
}
