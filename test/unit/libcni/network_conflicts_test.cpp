#include "libcni/validation.hpp"
#include "pkg/types/error.hpp"
#include "test/support/json.hpp"

namespace cni::libcni {
namespace {

using nlohmann::json;

ConfigFile network(const std::string& name, const json& plugin) {
  const json list = {{"cniVersion", "1.1.0"}, {"name", name}, {"plugins", json::array({plugin})}};
  return {"/net.d/" + name + ".conflist", list.dump()};
}

json bridge(const std::string& subnet, const json& more = json::object()) {
  json out = {{"type", "bridge"}, {"ipam", {{"type", "host-local"}, {"subnet", subnet}}}};
  out.update(more);
  return out;
}

std::vector<std::string> conflicts(const std::vector<ConfigFile>& files) {
  std::vector<std::string> out;
  for (const FileProblem& found : find_conflicts(files)) {
    out.push_back(found.file + ": " + to_string(found.problem));
  }
  return out;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("networks that have nothing in common have no conflicts") {
  CHECK(conflicts({network("a", bridge("10.0.0.0/24")),
                   network("b", bridge("10.0.1.0/24")),
                   network("c", {{"type", "loopback"}}),
                   {"/net.d/broken", "{"},
                   {"/net.d/x", "1"}})
            .empty());
}

TEST_CASE("a name may be used once") {
  ConfigFile copy = network("a", bridge("10.0.0.0/24"));
  copy.path = "/net.d/copy.conflist";
  CHECK(conflicts({network("a", bridge("10.0.0.0/24")), copy}) ==
        Texts{"/net.d/copy.conflist: error: name: the network \"a\" is also in /net.d/a.conflist "
              "(value \"a\"; hint: runtimes take one of the two: choose another name)"});
}

TEST_CASE("two networks of a bridge must not hand out the same addresses") {
  CHECK(conflicts({network("a", bridge("10.0.0.0/24")), network("b", bridge("10.0.0.128/25"))}) ==
        Texts{"/net.d/b.conflist: error: plugins[0].ipam.subnet: range 10.0.0.129-10.0.0.254 "
              "overlaps with 10.0.0.1-10.0.0.254 of network \"a\" (value \"10.0.0.128/25\"; hint: "
              "the other one is in /net.d/a.conflist)"});
  json low = bridge("10.0.0.0/24");
  low["ipam"]["rangeEnd"] = "10.0.0.99";
  json high = bridge("10.0.0.0/24");
  high["ipam"]["rangeStart"] = "10.0.0.100";
  CHECK(conflicts({network("a", low), network("b", high)}).empty());
}

TEST_CASE("two gateways of the host must not have the same subnet") {
  const auto severity = [](bool one, bool other) {
    const auto found = find_conflicts(std::vector<ConfigFile>{
        network("a", bridge("10.0.0.0/24", {{"isGateway", one}})),
        network("b", bridge("10.0.0.0/24", {{"isGateway", other}, {"bridge", "cni1"}}))});
    REQUIRE(found.size() == 1);
    return found[0].problem.severity;
  };
  CHECK(severity(true, true) == Severity::kError);
  // Two wires that never meet may use the same addresses.
  CHECK(severity(false, false) == Severity::kWarning);
  CHECK(severity(true, false) == Severity::kWarning);
}

TEST_CASE("a bridge has one MTU and is promiscuous or not") {
  const auto on_bridge = [](const std::string& name, const json& more) {
    json plugin = {{"type", "bridge"}};
    plugin.update(more);
    return network(name, plugin);
  };
  CHECK(
      conflicts({on_bridge("a", {{"mtu", 1400}}), on_bridge("b", {{"mtu", 1500}})}) ==
      Texts{"/net.d/b.conflist: error: plugins[0].mtu: network \"a\" has the bridge cni0 with MTU "
            "1400 (value 1500; hint: the first container decides which: use one MTU, or a bridge "
            "of its own; see /net.d/a.conflist)"});
  CHECK(conflicts({on_bridge("a", {{"mtu", 1400}}), on_bridge("b", {{"mtu", 0}})}).empty());
  CHECK(conflicts(
            {on_bridge("a", {{"mtu", 1400}}), on_bridge("b", {{"mtu", 1500}, {"bridge", "cni1"}})})
            .empty());
  CHECK(
      conflicts({on_bridge("a", {{"promiscMode", true}}), on_bridge("b", json::object())}).size() ==
      1);
}

TEST_CASE("a macvlan in mode passthru has its master alone") {
  const auto on_master = [](const std::string& name, const char* master, const char* mode) {
    return network(name, {{"type", "macvlan"}, {"master", master}, {"mode", mode}});
  };
  CHECK(conflicts({on_master("a", "eth0", "bridge"), on_master("b", "eth0", "passthru")}) ==
        Texts{"/net.d/b.conflist: error: plugins[0].master: the master is also that of network "
              "\"a\" (value \"eth0\"; hint: mode passthru leaves no place for a second interface; "
              "see /net.d/a.conflist)"});
  CHECK(conflicts({on_master("a", "eth0", "bridge"), on_master("b", "eth0", "private")}).empty());
  CHECK(conflicts({on_master("a", "eth0", "bridge"), on_master("b", "eth1", "passthru")}).empty());
}

TEST_CASE("a master carries macvlans or ipvlans but not both") {
  const auto on_master = [](const std::string& name, const char* type, const char* master) {
    return network(name, {{"type", type}, {"master", master}});
  };
  CHECK(conflicts({on_master("a", "macvlan", "eth0"), on_master("b", "ipvlan", "eth0")}) ==
        Texts{"/net.d/b.conflist: error: plugins[0].master: the master is also that of network "
              "\"a\" (value \"eth0\"; hint: a link carries macvlans or ipvlans but not both; see "
              "/net.d/a.conflist)"});
  CHECK(conflicts({on_master("a", "macvlan", "eth0"), on_master("b", "ipvlan", "eth1")}).empty());
  CHECK(conflicts({on_master("a", "macvlan", "eth0"), on_master("b", "vlan", "eth0")}).empty());
}

TEST_CASE("all ipvlans on a master have one mode") {
  const auto ipvlan = [](const std::string& name, const json& more) {
    json plugin = {{"type", "ipvlan"}, {"master", "eth0"}};
    plugin.update(more);
    return network(name, plugin);
  };
  CHECK(conflicts({ipvlan("a", json::object()), ipvlan("b", {{"mode", "l3"}})}) ==
        Texts{"/net.d/b.conflist: error: plugins[0].mode: network \"a\" has ipvlans of mode l2 on "
              "the same master (value \"l3\"; hint: all ipvlans on a link share their mode; see "
              "/net.d/a.conflist)"});
  CHECK(conflicts({ipvlan("a", json::object()), ipvlan("b", {{"mode", "l2"}})}).empty());
  CHECK(conflicts({ipvlan("a", json::object()), ipvlan("b", {{"mode", "l3"}, {"master", "eth1"}})})
            .empty());
  // Each in its own container.
  CHECK(conflicts({ipvlan("a", {{"linkInContainer", true}}),
                   ipvlan("b", {{"mode", "l3"}, {"linkInContainer", true}})})
            .empty());
}

TEST_CASE("a VLAN of a link belongs to one network") {
  const auto vlan = [](const std::string& name, const json& more) {
    json plugin = {{"type", "vlan"}, {"master", "eth0"}};
    plugin.update(more);
    return network(name, plugin);
  };
  CHECK(conflicts({vlan("a", {{"vlanId", 5}}), vlan("b", {{"vlanId", 5}})}) ==
        Texts{"/net.d/b.conflist: error: plugins[0].vlanId: the VLAN is also that of network \"a\" "
              "(value 5; hint: only one interface can have a VLAN of a link; see "
              "/net.d/a.conflist)"});
  CHECK(conflicts({vlan("a", json::object()), vlan("b", {{"vlanId", 0}})}).size() == 1);
  CHECK(conflicts({vlan("a", {{"vlanId", 5}}), vlan("b", {{"vlanId", 6}})}).empty());
  CHECK(conflicts({vlan("a", {{"vlanId", 5}}), vlan("b", {{"vlanId", 5}, {"master", "eth1"}})})
            .empty());
}

}  // namespace cni::libcni
