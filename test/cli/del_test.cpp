// DEL succeeds whatever is missing already, and afterwards nothing is left.
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "test/support/ip_json.hpp"
#include "test/support/scenario.hpp"
#include "test/support/snapshot.hpp"

namespace cni::test {
namespace {

// What a case does between a successful ADD and its DEL, and to the call of DEL.
struct Mishap {
  const char* name;
  void (*act)(Namespaces&, const Scenario&, Call&);
};

void keep(Namespaces& /*unused*/, const Scenario& /*unused*/, Call& /*unused*/) {}

void lose_netns(Namespaces& namespaces, const Scenario& /*unused*/, Call& /*unused*/) {
  namespaces.remove_container("one");
}

void lose_netns_and_path(Namespaces& namespaces, const Scenario& /*unused*/, Call& call) {
  namespaces.remove_container("one");
  call.netns.clear();
}

void forget_path(Namespaces& namespaces, const Scenario& what, Call& call) {
  call.netns.clear();
  // Nothing on the host leads to what is in a namespace that nobody names: a virtual link ends with
  // the namespace, and a device of the host's comes back.
  const bool has_end_on_host = what.plugin == "bridge" || what.plugin == "ptp";
  if (!has_end_on_host && makes_link(what)) namespaces.remove_container("one");
}

void plain_file(Namespaces& namespaces, const Scenario& /*unused*/, Call& call) {
  namespaces.remove_container("one");
  write_file(call.netns, "");
}

void lose_link(Namespaces& /*unused*/, const Scenario& what, Call& /*unused*/) {
  if (what.plugin != "loopback" && find_link_json("one", "eth0"))
    (void)ip({"-n", "one", "link", "del", "eth0"});
}

void lose_state(Namespaces& /*unused*/, const Scenario& /*unused*/, Call& /*unused*/) {
  remove_tree("/var/lib/cni/networks");
  remove_tree("/run/cni/tuning");
}

// A config that fails ADD: the types of the plugin's own keys are wrong.
void spoil_config(Namespaces& /*unused*/, const Scenario& what, Call& call) {
  json config = what.config;
  config["cniVersion"] = "1.1.0";
  config["name"] = kNetworkName;
  config["mtu"] = "many";
  config["bridge"] = 7;
  config["mode"] = "unknown";
  config["ipMasq"] = "perhaps";
  config["ipMasqBackend"] = "carrier pigeon";
  config["macspoofchk"] = 1;
  config["master"] = "no-such-master";
  config["vlanId"] = 4096;
  config["device"] = json::array();
  config["snat"] = "maybe";
  config["ingressRate"] = "fast";
  config["gateways"] = "10.1.0.1";
  config["addSourceHints"] = 1;
  config["sysctl"] = {{"kernel.hostname", 1}};
  config["txQLen"] = -1;
  config["vrfname"] = 7;
  config["runtimeConfig"] = {{"portMappings", {{{"hostPort", "eighty"}}}}, {"bandwidth", 7}};
  call.input = config.dump();
}

void spoil_ranges(Namespaces& /*unused*/, const Scenario& what, Call& call) {
  json config = what.config;
  config["cniVersion"] = "1.1.0";
  config["name"] = kNetworkName;
  if (config.contains("ipam")) {
    config["ipam"]["ranges"] = json::array({json::array({{{"subnet", "not a subnet"}}})});
    config["ipam"]["addresses"] = "none";
  }
  call.input = config.dump();
}

void spoil_prev_result(Namespaces& /*unused*/, const Scenario& what, Call& call) {
  call.input = config_text(what, "1.1.0", {{"cniVersion", "0.2.0"}, {"ips", "nonsense"}});
}

void spoil_args(Namespaces& /*unused*/, const Scenario& /*unused*/, Call& call) {
  call.args = "K8S_POD_NAME=x;broken";
}

constexpr Mishap kMishaps[] = {
    {"nothing", keep},
    {"the namespace is gone", lose_netns},
    {"the namespace is gone and CNI_NETNS empty", lose_netns_and_path},
    {"CNI_NETNS is empty", forget_path},
    {"CNI_NETNS is a plain file", plain_file},
    {"the link is gone", lose_link},
    {"the state is gone", lose_state},
    {"the config is invalid", spoil_config},
    {"the ipam section is invalid", spoil_ranges},
    {"prevResult is invalid", spoil_prev_result},
    {"CNI_ARGS is malformed", spoil_args},
};

void check_deletes(Namespaces& namespaces, const Scenario& what, const Mishap& mishap,
                   bool with_prev_result) {
  INFO(what.name << ", " << mishap.name
                 << (with_prev_result ? ", with prevResult" : ", without prevResult"));
  const Snapshot before = without_shared(take({}));
  (void)namespaces.container("one");
  prepare_container(what, "one");
  connect_container(what, "one");
  const PluginRun added = call(what.plugin, call_of(what, "ADD", "one"));
  INFO(added.describe());
  REQUIRE(added.ok());
  Call del = call_of(what, "DEL", "one", "1.1.0", with_prev_result ? added.document : json());
  mishap.act(namespaces, what, del);
  const bool device_is_gone =
      what.plugin == "host-device" && !(namespace_exists("one") && find_link_json("one", "eth0"));
  for (const char* round : {"first", "second"}) {
    const PluginRun deleted = call(what.plugin, del);
    INFO(round << " DEL: " << deleted.describe());
    CHECK(deleted.ok());
    CHECK(deleted.out.empty());
    // The kernel takes the links of a namespace away on its own time.
    if (!namespace_exists("one")) settle();
    if (device_is_gone) prepare_host(what);
    disconnect_container(what, "one");
    CHECK(diff(before, without_shared(take({}))) == "");
  }
  if (namespace_exists("one")) {
    if (what.plugin == "vrf") {
      CHECK(ip({"-n", "one", "-j", "link", "show", "type", "vrf"}).empty());
    } else if (makes_link(what)) {
      CHECK_FALSE(find_link_json("one", "eth0"));
    }
    namespaces.remove_container("one");
  }
  (void)::unlink("/run/netns/one");
}

void check_matrix(const char* name) {
  const Scenario& what = scenario(name);
  require_for(what);
  Namespaces namespaces;
  prepare_host(what);
  (void)namespaces.container("warm");
  prepare_container(what, "warm");
  connect_container(what, "warm");
  for (const char* command : {"ADD", "DEL"}) {
    REQUIRE(call(what.plugin, call_of(what, command, "warm")).ok());
  }
  for (const Mishap& mishap : kMishaps) {
    check_deletes(namespaces, what, mishap, true);
    check_deletes(namespaces, what, mishap, false);
  }
}

TEST_CASE("DEL of loopback tolerates what is missing", "[cli][netns]") { check_matrix("loopback"); }
TEST_CASE("DEL of bridge tolerates what is missing", "[cli][netns]") { check_matrix("bridge"); }
TEST_CASE("DEL of bridge at layer 2 tolerates what is missing", "[cli][netns]") {
  check_matrix("bridge-layer2");
}
TEST_CASE("DEL of bridge with nftables tolerates what is missing", "[cli][netns]") {
  check_matrix("bridge-masquerade-nftables");
}
TEST_CASE("DEL of bridge with iptables tolerates what is missing", "[cli][netns]") {
  check_matrix("bridge-masquerade-iptables");
}
TEST_CASE("DEL of bridge with spoof check tolerates what is missing", "[cli][netns]") {
  check_matrix("bridge-spoof-check");
}
TEST_CASE("DEL of bridge with a VLAN tolerates what is missing", "[cli][netns]") {
  check_matrix("bridge-vlan");
}
TEST_CASE("DEL of bridge with a trunk tolerates what is missing", "[cli][netns]") {
  check_matrix("bridge-vlan-trunk");
}
TEST_CASE("DEL of ptp tolerates what is missing", "[cli][netns]") { check_matrix("ptp"); }
TEST_CASE("DEL of ptp with nftables tolerates what is missing", "[cli][netns]") {
  check_matrix("ptp-masquerade-nftables");
}
TEST_CASE("DEL of ptp with iptables tolerates what is missing", "[cli][netns]") {
  check_matrix("ptp-masquerade-iptables");
}
TEST_CASE("DEL of macvlan tolerates what is missing", "[cli][netns]") { check_matrix("macvlan"); }
TEST_CASE("DEL of ipvlan tolerates what is missing", "[cli][netns][kind:ipvlan]") {
  check_matrix("ipvlan");
}
TEST_CASE("DEL of a chained ipvlan tolerates what is missing", "[cli][netns][kind:ipvlan]") {
  check_matrix("ipvlan-chained");
}
TEST_CASE("DEL of vlan tolerates what is missing", "[cli][netns][kind:vlan]") {
  check_matrix("vlan");
}
TEST_CASE("DEL of dummy tolerates what is missing", "[cli][netns][kind:dummy]") {
  check_matrix("dummy");
}
TEST_CASE("DEL of host-device tolerates what is missing", "[cli][netns]") {
  check_matrix("host-device");
}
TEST_CASE("DEL of host-device at layer 2 tolerates what is missing", "[cli][netns]") {
  check_matrix("host-device-layer2");
}
TEST_CASE("DEL of tap tolerates what is missing", "[cli][netns]") { check_matrix("tap"); }
TEST_CASE("DEL of firewall tolerates what is missing", "[cli][netns]") {
  check_matrix("firewall-iptables");
}
TEST_CASE("DEL of firewall with a policy tolerates what is missing", "[cli][netns]") {
  check_matrix("firewall-isolated");
}
TEST_CASE("DEL of firewall with nftables tolerates what is missing", "[cli][netns][nft]") {
  check_matrix("firewall-nftables");
}
TEST_CASE("DEL of host-local tolerates what is missing", "[cli][netns]") {
  check_matrix("host-local");
}
TEST_CASE("DEL of static tolerates what is missing", "[cli][netns]") { check_matrix("static"); }

TEST_CASE("DEL of portmap with iptables tolerates what is missing", "[cli][netns]") {
  check_matrix("portmap-iptables");
}
TEST_CASE("DEL of portmap with nftables tolerates what is missing", "[cli][netns]") {
  check_matrix("portmap-nftables");
}
TEST_CASE("DEL of bandwidth tolerates what is missing", "[cli][netns][kind:ifb]") {
  check_matrix("bandwidth");
}
TEST_CASE("DEL of bandwidth in the container tolerates what is missing", "[cli][netns][kind:ifb]") {
  check_matrix("bandwidth-in-container");
}

TEST_CASE("DEL of sbr tolerates what is missing", "[cli][netns]") { check_matrix("sbr"); }
TEST_CASE("DEL of sbr with a table tolerates what is missing", "[cli][netns]") {
  check_matrix("sbr-table");
}
TEST_CASE("DEL of tuning tolerates what is missing", "[cli][netns]") { check_matrix("tuning"); }
TEST_CASE("DEL of vrf tolerates what is missing", "[cli][netns][kind:vrf]") { check_matrix("vrf"); }

// No version at all is the first one.
bool speaks(const std::string& plugin, std::string_view version) {
  const auto& versions = plugin_named(plugin).versions;
  const std::string_view meant = version.empty() ? kAllVersions.front() : version;
  return std::find(versions.begin(), versions.end(), meant) != versions.end();
}

TEST_CASE("DEL of what was never added succeeds and changes nothing", "[cli][netns]") {
  for (const std::string& plugin : plugin_executables()) {
    Namespaces namespaces;
    (void)namespaces.container("one");
    for (const Scenario& what : scenarios()) {
      if (what.plugin != plugin) continue;
      for (const char* version : {"", "0.1.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}) {
        if (!speaks(plugin, version)) continue;
        INFO(what.name << " " << version);
        const Snapshot before = without_shared(take({"one"}));
        const PluginRun run = call(plugin, call_of(what, "DEL", "one", version));
        INFO(run.describe());
        CHECK(run.ok());
        CHECK(run.out.empty());
        CHECK(diff(before, without_shared(take({"one"}))) == "");
      }
    }
  }
}

}  // namespace
}  // namespace cni::test
