#include "libcni/validation.hpp"

#include <algorithm>
#include <map>

#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "test/support/json.hpp"

namespace cni::libcni {
namespace {

using nlohmann::json;

std::string describe(const std::vector<Problem>& problems) {
  std::string out;
  for (const Problem& problem : problems) out += to_string(problem) + "\n";
  return out;
}

// The problems of a bridge network with these keys of the plugin.
std::vector<Problem> of_plugin(const json& keys, const std::string& type = "bridge") {
  json plugin = keys;
  if (!plugin.contains("type")) plugin["type"] = type;
  const json list = {{"cniVersion", "1.1.0"}, {"name", "n"}, {"plugins", json::array({plugin})}};
  return validate_config(list.dump());
}

std::vector<Problem> of_ipam(const json& keys) {
  json ipam = keys;
  if (!ipam.contains("type")) ipam["type"] = "host-local";
  return of_plugin({{"ipam", ipam}});
}

// Checks that there is exactly this one problem.
void check_only(const std::vector<Problem>& found, const Problem& expected) {
  INFO(describe(found));
  REQUIRE(found.size() == 1);
  CHECK(to_string(found[0]) == to_string(expected));
}

std::string read_example(const std::string& path) {
  return os::read_file(cat(CNI_TEST_SOURCE_DIR, "/examples/", path)).value();
}

constexpr Severity kError = Severity::kError;
constexpr Severity kWarning = Severity::kWarning;

}  // namespace

TEST_CASE("every example is without problems") {
  const std::string root = cat(CNI_TEST_SOURCE_DIR, "/examples");
  std::size_t count = 0;
  for (const std::string& folder : os::list_directory(root)) {
    if (folder.ends_with(".md")) continue;
    for (const std::string& file : os::list_directory(cat(root, "/", folder))) {
      const std::vector<Problem> found = validate_config(read_example(cat(folder, "/", file)));
      INFO(folder << "/" << file << "\n" << describe(found));
      CHECK(found.empty());
      ++count;
    }
  }
  CHECK(count >= 9);
}

TEST_CASE("a bridge with master and texts for hairpin and vlan has three errors with their paths") {
  const std::vector<Problem> found =
      of_plugin({{"master", "eth0"}, {"hairpinMode", "true"}, {"vlan", "10"}});
  INFO(describe(found));
  REQUIRE(found.size() == 3);
  CHECK(to_string(found[0]) ==
        "error: plugins[0].hairpinMode: expected true or false, got a string (value \"true\"; "
        "hint: write true without quotes)");
  CHECK(to_string(found[1]) ==
        "error: plugins[0].master: unknown key \"master\" (value \"eth0\"; hint: it is a key of "
        "ipvlan, macvlan, vlan)");
  CHECK(to_string(found[2]) ==
        "error: plugins[0].vlan: expected an integer, got a string (value \"10\"; hint: write 10 "
        "without quotes)");
}

TEST_CASE("all faults of a network are found at once") {
  const std::vector<Problem> found = validate_config(R"({
    "cniVersion": "9.0.0", "name": "my net", "disableGc": "maybe",
    "plugins": [
      { "type": "bridge", "bridge": "a/b", "ipMask": true, "isgateway": true, "mtu": "1500",
        "mtu": 20, "hairpinMode": true, "promiscMode": true, "ipMasqBackend": "nftable",
        "capabilities": { "ports": true, "mac": 1 },
        "args": { "cni": { "mac": "02:00" } },
        "ipam": { "type": "host-local", "isDefaultGateway": true,
          "ranges": [[{ "subnet": "10.0.0.0/24", "rangeStart": "10.0.1.5" },
                      { "subnet": "10.0.0.128/25" }]],
          "routes": [{ "gw": "10.0.0.1/24" }] } },
      { "type": "brigde" },
      { "type": "ptp", "ipam": {} },
      "loopback"
    ] })");
  std::map<std::string, std::string> sentences;
  for (const Problem& problem : found) sentences[problem.path] = problem.sentence;
  const std::map<std::string, std::string> expected = {
      {"cniVersion",
       "has to be one of \"0.1.0\", \"0.2.0\", \"0.3.0\", \"0.3.1\", \"0.4.0\", \"1.0.0\", "
       "\"1.1.0\""},
      {"name", "invalid characters found in network name"},
      {"disableGc", "expected true or false"},
      {"plugins[0].bridge",
       "\"a/b\" cannot be the name of an interface: it has to have 1 to 15 characters, without "
       "\"/\", \":\" and white space"},
      {"plugins[0].ipMask", "unknown key \"ipMask\""},
      {"plugins[0].isgateway", "the key is written \"isGateway\""},
      {"plugins[0].mtu", "has to be 0 or from 68 to 65535"},
      {"plugins[0].hairpinMode", "cannot set hairpin mode and promiscuous mode at the same time"},
      {"plugins[0].ipMasqBackend", "has to be one of \"iptables\", \"nftables\""},
      {"plugins[0].capabilities.ports",
       "neither bridge nor its ipam knows the capability \"ports\""},
      {"plugins[0].capabilities.mac", "expected true or false, got an integer"},
      {"plugins[0].args.cni.mac", "not a MAC address"},
      {"plugins[0].ipam.isDefaultGateway", "unknown key \"isDefaultGateway\""},
      {"plugins[0].ipam.ranges[0][0].rangeStart", "rangeStart is not in the subnet 10.0.0.0/24"},
      {"plugins[0].ipam.routes[0].dst", "this key is required"},
      {"plugins[0].ipam.routes[0].gw", "not an IP address"},
      {"plugins[1].type",
       "there is no schema for the plugin \"brigde\", so its keys are not checked"},
      {"plugins[2].ipam.type", "this key is required"},
      {"plugins[3]", "expected an object, got a string"}};
  INFO(describe(found));
  for (const auto& [path, sentence] : expected) {
    INFO(path);
    CHECK(sentences[path] == sentence);
  }
  const bool repeats = std::any_of(found.begin(), found.end(), [](const Problem& problem) {
    return problem.path == "plugins[0].mtu" &&
           problem.sentence == "this key stands twice in its object";
  });
  CHECK(repeats);
}

TEST_CASE("a text that is not JSON gives its position") {
  const std::vector<Problem> found = validate_config("{\n  \"name\": ,\n}");
  REQUIRE(found.size() == 1);
  INFO(found[0].sentence);
  CHECK(found[0].sentence.starts_with("not JSON: parse error at line 2, column 11"));
  check_only(validate_config("[1]"), {kError, "", "[1]", "expected an object", ""});
}

TEST_CASE("keys that have to be there are asked for") {
  check_only(validate_config(R"({"cniVersion": "1.1.0", "plugins": [{"type": "bridge"}]})"),
             {kError, "name", "", "this key is required", ""});
  check_only(validate_config(R"({"name": "n", "plugins": [{}]})"),
             {kError, "plugins[0].type", "", "this key is required", ""});
  check_only(validate_config(R"({"name": "n", "plugins": []})"),
             {kError, "plugins", "[]", "no plugins in list", ""});
  check_only(validate_config(R"({"name": "n"})"),
             {kError, "plugins", "", "this key is required",
              "a list of objects, each with the type of a plugin"});
  CHECK(validate_config(R"({"name": "n"})", ConfigKind::kList).at(0).severity == kWarning);
  CHECK(validate_config(R"({"name": "n", "loadOnlyInlinedPlugins": true})", ConfigKind::kList)
            .at(0)
            .severity == kError);
  check_only(validate_config(R"({"name": "n", "type": "ptp"})"),
             {kError, "ipam", "", "this key is required", ""});
}

TEST_CASE("a misspelt key gets the one that was meant") {
  const auto hint = [](const char* key) { return of_plugin({{key, true}}).at(0).hint; };
  CHECK(hint("ipMask") == "did you mean \"ipMasq\"?");
  CHECK(hint("isGatway") == "did you mean \"isGateway\"?");
  CHECK(hint("harpinMode") == "did you mean \"hairpinMode\"?");
  CHECK(hint("mut") == "did you mean \"mtu\"?");
  CHECK(hint("somethingElse") == "it is ignored: remove it");
}

TEST_CASE("a key in the wrong place gets the right one") {
  CHECK(of_plugin({{"subnet", "10.0.0.0/24"}}).at(0).hint ==
        "it is a key of host-local: move it into ipam");
  CHECK(of_ipam({{"subnet", "10.0.0.0/24"}, {"ipMasq", true}}).at(0).hint ==
        "it is a key of bridge itself: move it out of ipam");
  CHECK(of_plugin({{"disableCheck", true}}).at(0).hint ==
        "it is a key of the list: move it out of the plugin");
  CHECK(of_ipam({{"subnet", "10.0.0.0/24"}, {"addresses", json::array()}}).at(0).hint ==
        "it is a key of ipam with type static");
}

TEST_CASE("keys of people and other software are left alone") {
  CHECK(of_plugin({{"_comment", "x"}, {"cni.dev/x", 1}, {"$schema", "bridge.json"}}).empty());
  CHECK(of_plugin({{"args", {{"labels", {{"a", "b"}}}, {"cni", {{"other", 1}}}}}}).empty());
  CHECK(of_plugin({{"mtu", nullptr}, {"ipMasqBackend", ""}}).empty());
}

TEST_CASE("a key of another case is a warning and its value is checked all the same") {
  const std::vector<Problem> found = of_plugin({{"IPMASQ", 1}});
  INFO(describe(found));
  REQUIRE(found.size() == 2);
  CHECK(found[0].severity == kWarning);
  CHECK(found[0].sentence == "the key is written \"ipMasq\"");
  CHECK(found[1].sentence == "expected true or false, got an integer");
  check_only(of_plugin({{"IPMASQ", true}, {"ipMasq", true}}),
             {kError, "plugins[0].IPMASQ", "true", "ignored: the key \"ipMasq\" is there too",
              "remove one of the two"});
}

TEST_CASE("a plugin without a schema is a warning and its keys are its own") {
  check_only(of_plugin({{"type", "flannel"}, {"delegate", {{"x", 1}}}}),
             {kWarning, "plugins[0].type", "\"flannel\"",
              "there is no schema for the plugin \"flannel\", so its keys are not checked", ""});
  check_only(
      of_plugin(
          {{"ipam", {{"type", "whereabouts"}, {"range", "x"}}}, {"capabilities", {{"ips", true}}}}),
      {kWarning, "plugins[0].ipam.type", "\"whereabouts\"",
       "there is no schema for the plugin \"whereabouts\", so its keys are not checked", ""});
}

TEST_CASE("capabilities are those of the plugin and of its ipam") {
  CHECK(of_plugin({{"capabilities", {{"mac", true}, {"ipRanges", true}}},
                   {"ipam", {{"type", "host-local"}, {"subnet", "10.0.0.0/24"}}}})
            .empty());
  check_only(of_plugin({{"capabilities", {{"ipRanges", true}}}}),
             {kWarning, "plugins[0].capabilities.ipRanges", "true",
              "neither bridge nor its ipam knows the capability \"ipRanges\"", ""});
}

TEST_CASE("keys that exclude each other are a problem of the first") {
  check_only(of_plugin({{"disableContainerInterface", true},
                        {"ipam", {{"type", "static"}, {"addresses", json::array()}}}}),
             {kError, "plugins[0].disableContainerInterface", "true",
              "cannot use IPAM when DisableContainerInterface flag is set",
              "disableContainerInterface is true and ipam.type is \"static\""});
  check_only(of_plugin({{"vlan", 5000}}),
             {kError, "plugins[0].vlan", "5000", "has to be from 0 to 4094", ""});
  check_only(of_plugin({{"vlanTrunk", {{{"id", 4095}}}}}),
             {kError, "plugins[0].vlanTrunk[0].id", "4095", "has to be from 1 to 4094", ""});
  check_only(of_plugin({{"mode", "brigde"}}, "macvlan"),
             {kError, "plugins[0].mode", "\"brigde\"",
              "has to be one of \"bridge\", \"private\", \"vepa\", \"passthru\"",
              "did you mean \"bridge\"?"});
}

TEST_CASE("ranges of host-local are compared with their subnet") {
  const auto range = [](json keys) {
    keys["subnet"] = keys.value("subnet", "10.0.0.0/24");
    return of_ipam({{"ranges", json::array({json::array({keys})})}});
  };
  const std::string path = "plugins[0].ipam.ranges[0][0].";
  CHECK(range({{"rangeStart", "10.0.0.5"}, {"rangeEnd", "10.0.0.9"}}).empty());
  check_only(range({{"rangeEnd", "10.0.1.1"}}), {kError, path + "rangeEnd", "\"10.0.1.1\"",
                                                 "rangeEnd is not in the subnet 10.0.0.0/24",
                                                 "its addresses are 10.0.0.1 to 10.0.0.255"});
  check_only(range({{"rangeStart", "10.0.0.9"}, {"rangeEnd", "10.0.0.5"}}),
             {kError, path + "rangeStart", "\"10.0.0.9\"",
              "rangeStart is after rangeEnd, which is 10.0.0.5", "swap the two"});
  check_only(
      range({{"gateway", "10.0.1.1"}}),
      {kWarning, path + "gateway", "\"10.0.1.1\"", "the gateway is not in the subnet 10.0.0.0/24",
       "containers reach it only over a route of its own"});
  check_only(range({{"gateway", "fd00::1"}}),
             {kError, path + "gateway", "\"fd00::1\"",
              "the gateway is not of the family of 10.0.0.0/24", ""});
  check_only(range({{"subnet", "10.0.0.1/24"}}),
             {kError, path + "subnet", "\"10.0.0.1/24\"", "the network has host bits set",
              "write \"10.0.0.0/24\""});
  check_only(range({{"subnet", "10.0.0.0/31"}}),
             {kError, path + "subnet", "\"10.0.0.0/31\"", "network 10.0.0.0/31 is too small",
              "at most /30 has addresses to hand out"});
  check_only(
      range({{"subnet", "10.0.0.0"}}),
      {kError, path + "subnet", "\"10.0.0.0\"", "not an address with prefix length (CIDR notation)",
       "add the prefix length, for example \"10.0.0.0/24\""});
}

TEST_CASE("ranges of one configuration must not overlap") {
  check_only(of_ipam({{"subnet", "10.0.0.0/24"},
                      {"ranges", json::parse(R"([[{"subnet": "10.0.0.128/25"}]])")}}),
             {kError, "plugins[0].ipam.ranges[0][0].subnet", "\"10.0.0.128/25\"",
              "range 10.0.0.129-10.0.0.254 overlaps with 10.0.0.1-10.0.0.254",
              "the other one is plugins[0].ipam.subnet"});
  CHECK(of_ipam({{"ranges", json::parse(R"([[{"subnet": "10.0.0.0/24", "rangeEnd": "10.0.0.9"}],
      [{"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.10"}]])")}})
            .empty());
  check_only(
      of_ipam(
          {{"ranges", json::parse(R"([[{"subnet": "10.0.0.0/24"}, {"subnet": "fd00::/64"}]])")}}),
      {kError, "plugins[0].ipam.ranges[0][1].subnet", "\"fd00::/64\"",
       "the ranges of a set have to be of one address family",
       "plugins[0].ipam.ranges[0][0].subnet is of the other; each family has a set of its own"});
  check_only(of_ipam(json::object()),
             {kError, "plugins[0].ipam", "", "no IP ranges specified",
              "give ranges or subnet, or declare the capability ipRanges"});
  CHECK(of_plugin({{"capabilities", {{"ipRanges", true}}}, {"ipam", {{"type", "host-local"}}}})
            .empty());
  check_only(of_ipam({{"ranges", json::parse("[[]]")}}),
             {kError, "plugins[0].ipam.ranges[0]", "[]", "empty range set", ""});
}

TEST_CASE("what is excluded is of the family of a range and has no host bits") {
  const auto exclude = [](const char* text) {
    return of_ipam({{"subnet", "10.0.0.0/24"}, {"exclude", json::array({text})}});
  };
  CHECK(exclude("10.0.0.9").empty());
  CHECK(exclude("10.0.0.16/28").empty());
  check_only(exclude("fd00::1"), {kError, "plugins[0].ipam.exclude[0]", "\"fd00::1\"",
                                  "no range is of this address family", ""});
  check_only(
      exclude("10.0.0.17/28"),
      {kError, "plugins[0].ipam.exclude[0]", "\"10.0.0.17/28\"", "the network has host bits set",
       "write \"10.0.0.16/28\" for the network or \"10.0.0.17\" for the one address"});
  check_only(exclude("x"), {kError, "plugins[0].ipam.exclude[0]", "\"x\"",
                            "neither an IP address nor an address with prefix length", ""});
}

TEST_CASE("an old version has one address for each family") {
  const std::vector<Problem> found = validate_config(R"({"name": "n", "cniVersion": "0.2.0",
      "type": "bridge", "ipam": {"type": "host-local",
      "ranges": [[{"subnet": "10.0.0.0/24"}], [{"subnet": "10.0.1.0/24"}]]}})");
  check_only(found, {kError, "ipam.ranges[1][0]", "\"10.0.1.0/24\"",
                     "CNI version 0.2.0 does not support more than 1 address per family",
                     "use cniVersion 0.3.0 or later"});
}

TEST_CASE("an address of static has a gateway of its family") {
  check_only(of_ipam({{"type", "static"},
                      {"addresses",
                       json::parse(R"([{"address": "10.0.0.1/24", "gateway": "fd00::1"}])")}}),
             {kError, "plugins[0].ipam.addresses[0].gateway", "\"fd00::1\"",
              "the gateway is not of the address family of 10.0.0.1/24", ""});
  check_only(of_ipam({{"type", "static"}, {"addresses", json::parse(R"([{}])")}}),
             {kError, "plugins[0].ipam.addresses[0].address", "", "this key is required", ""});
}

TEST_CASE("versions to choose from have to be versions") {
  check_only(validate_config(R"({"name": "n", "cniVersions": ["1.0.0", "2.0.0", "new"],
                                 "plugins": [{"type": "loopback"}]})"),
             {kError, "cniVersions[2]", "\"new\"", "not a version", "for example \"1.1.0\""});
  CHECK(validate_config(R"({"name": "n", "cniVersion": "1.0", "plugins": [{"type": "loopback"}]})")
            .at(0)
            .hint == "did you mean \"1.0.0\"?");
}

TEST_CASE("no text makes the validation throw") {
  const std::string text = read_example("host-local/ranges.conflist");
  for (std::size_t i = 0; i < text.size(); ++i) {
    (void)validate_config(text.substr(0, i));
    for (const char* other : {"0", "\"", "[", "{}", "null", "-"}) {
      std::string changed = text;
      changed.replace(i, 1, other);
      (void)validate_config(changed);
    }
  }
  const json values[] = {nullptr, true, 1, -1, 1e300, "x", json::array(), json::object()};
  for (const json& value : values) {
    for (const char* key : {"name", "cniVersion", "cniVersions", "plugins", "type", "ipam"}) {
      json config = {{"name", "n"}, {"type", "bridge"}};
      config[key] = value;
      INFO(config.dump());
      (void)validate_config(config.dump());
      const bool is_fine = value == "x" || value.is_null() || value == json::object();
      if (is_fine) continue;
      CHECK_FALSE(validate_config(config.dump()).empty());
    }
  }
}

}  // namespace cni::libcni
