// Each key of the interface plugins with a wrong type, range or combination: refused with a code
// and a sentence that names it, before anything is touched (the namespace of these calls does not
// exist).
#include "test/support/catch.hpp"
#include "test/support/run_plugin.hpp"

using namespace cni::test;

namespace {

struct BadConfig {
  json config;
  int code;
  std::string msg_start;
};

PluginRun add(const json& config, const std::string& args = {}) {
  json whole = config;
  whole["cniVersion"] = "1.1.0";
  whole["name"] = "testnet";
  Call call;
  call.command = "ADD";
  call.netns = "/no/such/netns";
  call.args = args;
  call.input = whole.dump();
  return call_in_process(plugin_named(config.at("type").get<std::string>()), call);
}

void check_all(const std::string& type, const std::vector<BadConfig>& cases) {
  for (const BadConfig& bad : cases) {
    json config = bad.config;
    config["type"] = type;
    const PluginRun run = add(config);
    INFO(config.dump() << "\n" << run.describe());
    check_error(run, bad.code, bad.msg_start);
  }
}

std::string wrong(const std::string& key, const std::string& expected, const std::string& got) {
  return "failed to load netconf: " + key + ": expected " + expected + ", got " + got;
}

constexpr const char* kBoolean = "true or false";
constexpr const char* kUnsigned = "an integer from 0 to 4294967295";

}  // namespace

TEST_CASE("bridge refuses wrong types by key") {
  std::vector<BadConfig> cases = {
      {{{"bridge", 5}}, 6, wrong("bridge", "a string", "the number 5")},
      {{{"mtu", "1500"}}, 6, wrong("mtu", kUnsigned, "the string \"1500\"")},
      {{{"mtu", -1}}, 6, wrong("mtu", kUnsigned, "the number -1")},
      {{{"mtu", 1.5}}, 6, wrong("mtu", kUnsigned, "the number 1.5")},
      {{{"ipMasqBackend", true}}, 6, wrong("ipMasqBackend", "a string", "the boolean true")},
      {{{"vlanTrunk", {{"id", 1}}}}, 6, wrong("vlanTrunk", "an array", "an object")},
      {{{"runtimeConfig", "x"}}, 6, wrong("runtimeConfig", "an object", "the string \"x\"")},
      {{{"runtimeConfig", {{"mac", "x"}}}},
       6,
       wrong("runtimeConfig.mac", "a MAC address", "the string \"x\"")},
      {{{"args", {{"cni", {{"mac", 1}}}}}}, 6, wrong("args.cni.mac", "a string", "the number 1")},
  };
  for (const char* key : {"isGateway", "isDefaultGateway", "forceAddress", "ipMasq", "hairpinMode",
                          "promiscMode", "macspoofchk", "enabledad", "disableContainerInterface",
                          "portIsolation", "preserveDefaultVlan"}) {
    cases.push_back({{{key, "yes"}}, 6, wrong(key, kBoolean, "the string \"yes\"")});
  }
  check_all("bridge", cases);
}

TEST_CASE("bridge refuses wrong values and combinations") {
  check_all(
      "bridge",
      {{{{"bridge", "a/b"}},
        7,
        "failed to load netconf: bridge: \"a/b\" cannot be the name of an interface"},
       {{{"bridge", "sixteen-letters-"}},
        7,
        "failed to load netconf: bridge: \"sixteen-letters-\" cannot be"},
       {{{"mtu", 67}}, 7, "failed to load netconf: mtu: invalid MTU 67"},
       {{{"mtu", 65536}}, 7, "failed to load netconf: mtu: invalid MTU 65536"},
       {{{"ipMasqBackend", "ebtables"}},
        7,
        "failed to load netconf: unknown ipmasq backend \"ebtables\""},
       {{{"vlan", 4095}},
        7,
        "failed to load netconf: invalid VLAN ID 4095 (must be between 0 and 4094)"},
       {{{"vlan", -1}},
        7,
        "failed to load netconf: invalid VLAN ID -1 (must be between 0 and 4094)"},
       {{{"vlan", 1000}, {"bridge", "twelve-chars"}, {"isGateway", true}},
        7,
        "failed to load netconf: bridge: \"twelve-chars\" is too long: the gateway interface of "
        "VLAN 1000 would be \"twelve-chars.1000\""},
       {{{"hairpinMode", true}, {"promiscMode", true}},
        7,
        "failed to load netconf: cannot set hairpin mode and promiscuous mode at the same time"},
       {{{"disableContainerInterface", true}, {"ipam", {{"type", "static"}}}},
        7,
        "failed to load netconf: cannot use IPAM when DisableContainerInterface flag is set"}});
}

TEST_CASE("bridge refuses wrong elements of vlanTrunk") {
  const auto trunk = [](const json& element) -> json {
    return {{"vlanTrunk", json::array({{{"id", 5}}, element})}};
  };
  const std::string start = "failed to load netconf: ";
  const std::string both = start + "minID and maxID should be configured simultaneously, ";
  std::vector<BadConfig> cases = {
      {trunk({{"minID", 20}, {"maxID", 10}}), 7,
       start + "minID is greater than maxID in trunk parameter (vlanTrunk[1]: 20 and 10)"},
      {trunk({{"maxID", 10}}), 7, both + "minID is missing (vlanTrunk[1])"},
      {trunk({{"minID", 10}}), 7, both + "maxID is missing (vlanTrunk[1])"},
      {trunk({{"id", "5"}}), 6,
       wrong("vlanTrunk[1].id", "an integer from -2147483648 to 2147483647", "the string \"5\"")},
      {trunk(7), 6, wrong("vlanTrunk[1]", "an object", "the number 7")}};
  for (const int id : {0, 4095, -5}) {
    const std::string more = ": " + std::to_string(id) + ", must be from 1 to 4094)";
    cases.push_back({trunk({{"minID", id}, {"maxID", 10}}), 7,
                     start + "incorrect trunk minID parameter (vlanTrunk[1].minID" + more});
    cases.push_back({trunk({{"minID", 10}, {"maxID", id}}), 7,
                     start + "incorrect trunk maxID parameter (vlanTrunk[1].maxID" + more});
    cases.push_back(
        {trunk({{"id", id}}), 7, start + "incorrect trunk id parameter (vlanTrunk[1].id" + more});
  }
  check_all("bridge", cases);
}

TEST_CASE("ptp refuses wrong types and values by key") {
  check_all("ptp",
            {{{{"mtu", "x"}}, 6, wrong("mtu", kUnsigned, "the string \"x\"")},
             {{{"mtu", 10}}, 7, "failed to load netconf: mtu: invalid MTU 10"},
             {{{"ipMasq", 1}}, 6, wrong("ipMasq", kBoolean, "the number 1")},
             {{{"ipMasqBackend", "x"}}, 7, "failed to load netconf: unknown ipmasq backend \"x\""},
             {json::object(), 7, "no plugin name provided"},
             {{{"ipam", {{"type", ""}}}}, 7, "no plugin name provided"}});
}

TEST_CASE("macvlan refuses wrong types and values by key") {
  check_all(
      "macvlan",
      {{{{"master", true}}, 6, wrong("master", "a string", "the boolean true")},
       {{{"master", "a b"}}, 7, "failed to load netconf: master: \"a b\" cannot be the name"},
       {{{"mode", "loop"}}, 7, "failed to load netconf: unknown macvlan mode: \"loop\""},
       {{{"mode", 1}}, 6, wrong("mode", "a string", "the number 1")},
       {{{"mtu", -5}}, 6, wrong("mtu", kUnsigned, "the number -5")},
       {{{"mac", "02:00"}}, 6, wrong("mac", "a MAC address", "the string \"02:00\"")},
       {{{"linkInContainer", "no"}}, 6, wrong("linkInContainer", kBoolean, "the string \"no\"")},
       {{{"bcqueuelen", 4294967296}}, 6, wrong("bcqueuelen", kUnsigned, "the number 4294967296")}});
}

TEST_CASE("ipvlan refuses wrong types and values by key") {
  check_all("ipvlan",
            {{{{"master", 3}}, 6, wrong("master", "a string", "the number 3")},
             {{{"master", "a/b"}}, 7, "failed to load netconf: master: \"a/b\" cannot be the name"},
             {{{"mode", "bridge"}}, 7, "failed to load netconf: unknown ipvlan mode: \"bridge\""},
             {{{"mode", true}}, 6, wrong("mode", "a string", "the boolean true")},
             {{{"mtu", "x"}}, 6, wrong("mtu", kUnsigned, "the string \"x\"")},
             {{{"mtu", 10}}, 7, "failed to load netconf: mtu: invalid MTU 10"},
             {{{"linkInContainer", 1}}, 6, wrong("linkInContainer", kBoolean, "the number 1")},
             {json::object(), 7, "no plugin name provided"},
             {{{"ipam", {{"type", ""}}}}, 7, "no plugin name provided"},
             {{{"prevResult", {{"ips", json::array()}}}}, 7, "no plugin name provided"}});
}

TEST_CASE("vlan refuses wrong types and values by key") {
  constexpr const char* kNoMaster =
      "\"master\" field is required. It specifies the host interface name to create the VLAN for";
  const auto vlan = [](const json& more) {
    json config = {{"master", "master0"}};
    config.update(more);
    return config;
  };
  check_all(
      "vlan",
      {{json::object(), 7, kNoMaster},
       {{{"master", ""}}, 7, kNoMaster},
       {{{"master", 3}}, 6, wrong("master", "a string", "the number 3")},
       {{{"master", "a b"}}, 7, "failed to load netconf: master: \"a b\" cannot be"},
       {vlan({{"vlanId", "5"}}), 6,
        wrong("vlanId", "an integer from -2147483648 to 2147483647", "the string \"5\"")},
       {vlan({{"vlanId", -1}}), 7, "invalid VLAN ID -1 (must be between 0 and 4095 inclusive)"},
       {vlan({{"vlanId", 4095}}), 7, "invalid VLAN ID 4095 (must be between 0 and 4095 inclusive)"},
       {vlan({{"mtu", 1.5}}), 6, wrong("mtu", kUnsigned, "the number 1.5")},
       {vlan({{"mtu", 67}}), 7, "failed to load netconf: mtu: invalid MTU 67"},
       {vlan({{"linkInContainer", "no"}}), 6,
        wrong("linkInContainer", kBoolean, "the string \"no\"")},
       {vlan(json::object()), 7, "no plugin name provided"}});
}

TEST_CASE("dummy refuses a configuration without ipam") {
  check_all("dummy",
            {{json::object(), 7, "dummy interface requires an IPAM configuration"},
             {{{"ipam", {{"type", ""}}}}, 7, "dummy interface requires an IPAM configuration"}});
}

TEST_CASE("host-device refuses wrong types and values by key") {
  const std::string start = "failed to load netconf: ";
  const std::string none = start + "specify either \"device\", \"hwaddr\", \"kernelpath\" or";
  const auto path = [&](const std::string& value) {
    return start + "kernel device path \"" + value + "\" must be absolute and begin with /sys/dev";
  };
  check_all("host-device",
            {{json::object(), 7, none},
             {{{"device", ""}, {"hwaddr", ""}, {"runtimeConfig", json::object()}}, 7, none},
             {{{"device", 1}}, 6, wrong("device", "a string", "the number 1")},
             {{{"device", "../eth0"}}, 7, start + "device: \"../eth0\" cannot be the name"},
             {{{"hwaddr", "02:00"}}, 6, wrong("hwaddr", "a MAC address", "the string \"02:00\"")},
             {{{"kernelpath", "devices/x"}}, 7, path("devices/x")},
             {{{"kernelpath", "/sys/class/net/eth0"}}, 7, path("/sys/class/net/eth0")},
             {{{"kernelpath", "/sys/devices/"}}, 7, path("/sys/devices/")},
             {{{"kernelpath", "/sys/devices/../class"}}, 7, path("/sys/devices/../class")},
             {{{"kernelpath", "/sys/devices/x/.."}}, 7, path("/sys/devices/x/..")},
             {{{"pciBusID", "../.."}}, 7, start + "pciBusID: \"../..\" is not the id of a device"},
             {{{"pciBusID", ".."}}, 7, start + "pciBusID: \"..\" is not the id of a device"},
             {{{"runtimeConfig", {{"deviceID", "a/b"}}}},
              7,
              start + "runtimeConfig.deviceID: \"a/b\" is not the id of a device"},
             {{{"runtimeConfig", {{"deviceID", 7}}}},
              6,
              wrong("runtimeConfig.deviceID", "a string", "the number 7")}});
}

TEST_CASE("tap refuses wrong types and values by key") {
  check_all("tap",
            {{{{"multiQueue", "yes"}}, 6, wrong("multiQueue", kBoolean, "the string \"yes\"")},
             {{{"mtu", 67}}, 7, "failed to load netconf: mtu: invalid MTU 67"},
             {{{"mac", "x"}}, 6, wrong("mac", "a MAC address", "the string \"x\"")},
             {{{"owner", -1}}, 6, wrong("owner", kUnsigned, "the number -1")},
             {{{"group", "qemu"}}, 6, wrong("group", kUnsigned, "the string \"qemu\"")},
             {{{"selinuxContext", 1}}, 6, wrong("selinuxContext", "a string", "the number 1")},
             {{{"bridge", "a/b"}}, 7, "failed to load netconf: bridge: \"a/b\" cannot be the name"},
             {{{"runtimeConfig", {{"mac", 1}}}},
              6,
              wrong("runtimeConfig.mac", "a string", "the number 1")}});
}

TEST_CASE("shared keys are refused by path whatever the plugin") {
  for (const char* type : {"bridge", "ptp", "macvlan", "ipvlan", "vlan", "dummy", "host-device",
                           "tap", "loopback", "host-local", "static"}) {
    check_all(type,
              {{{{"ipam", "host-local"}}, 6, "ipam: expected an object, got the string"},
               {{{"ipam", {{"type", 3}}}}, 6, "ipam.type: expected a string, got the number 3"},
               {{{"dns", json::array()}}, 6, "dns: expected an object, got an array"},
               {{{"dns", {{"nameservers", "x"}}}}, 6, "dns.nameservers: expected an array"},
               {{{"capabilities", {{"mac", 1}}}}, 6, "capabilities.mac: expected true or false"},
               {{{"prevResult", 1}}, 6, "prevResult: expected an object, got the number 1"}});
  }
}

TEST_CASE("prevResult of another version is refused by the plugin that passes it on") {
  check_all("loopback",
            {{{{"prevResult", {{"cniVersion", "0.4.0"}}}},
              6,
              "could not parse prevResult: result type supports [1.0.0 1.1.0] but unmarshalled "
              "CNIVersion is \"0.4.0\""}});
}

TEST_CASE("CNI_ARGS are parsed strictly") {
  const auto msg = [](const std::string& args) {
    const PluginRun run = add({{"type", "bridge"}}, args);
    CHECK(run.code() == 4);
    return run.msg();
  };
  CHECK(msg("A") == "failed to load netconf: ARGS: invalid pair \"A\"");
  CHECK(msg("MAC=02:00:00:00:00:01;") == "failed to load netconf: ARGS: invalid pair \"\"");
  CHECK(msg("A=b=c") == "failed to load netconf: ARGS: invalid pair \"A=b=c\"");
  CHECK(msg("K8S_POD_NAME=x") == "failed to load netconf: ARGS: unknown args [\"K8S_POD_NAME=x\"]");
  CHECK(msg("IgnoreUnknown=maybe")
            .starts_with("failed to load netconf: ARGS: error parsing value of pair"));
  CHECK(msg("IgnoreUnknown=1;MAC=x") ==
        "failed to load netconf: CNI_ARGS: MAC is not a MAC address: \"x\"");
}
