// UPDATE of tuning: settings of a running attachment that are changed, added and removed.
#include <stdexcept>

#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "test/netns/plugins/meta/tuning_node.hpp"

using namespace cni;
using namespace cni::test;

namespace {

json full(json config) {
  config.update({{"type", "tuning"}, {"name", "testnet"}, {"cniVersion", "1.1.0"}});
  return config;
}

const json kWas = {
    {"mac", "02:00:00:00:01:ab"},
    {"mtu", 1400},
    {"promisc", true},
    {"sysctl", {{"net.ipv4.conf.IFNAME.arp_filter", "1"}, {"net.ipv4.tcp_fin_timeout", "30"}}}};
// One setting of each kind is changed, one added and one removed.
const json kNow = {
    {"mac", "02:00:00:00:01:ab"},
    {"mtu", 1300},
    {"txQLen", 55},
    {"sysctl",
     {{"net.ipv4.conf.IFNAME.arp_filter", "1"}, {"net.ipv4.conf.IFNAME.proxy_arp", "1"}}}};

Call update_call(const TuningNode& node, const json& was, const json& now) {
  json config = full(now);
  config["prevResult"] = node.prev_result();
  config["cni.dev/update"] = {{"previous", full(was)}};
  Call call;
  call.command = "UPDATE";
  call.container_id = "c1";
  call.netns = "/run/netns/c1";
  call.input = config.dump();
  return call;
}

PluginRun update(const TuningNode& node, const json& was, const json& now,
                 const Hooks& hooks = {}) {
  return call_in_process(plugin_named("tuning"), update_call(node, was, now), hooks);
}

void check_was(const TuningNode& node) {
  const json link = node.link();
  CHECK(link.at("mtu") == 1400);
  CHECK(link.at("txqlen") == 1000);
  CHECK(link.at("promiscuity") == 1);
  CHECK(node.value("net/ipv4/conf/eth0/arp_filter") == "1");
  CHECK(node.value("net/ipv4/conf/eth0/proxy_arp") == "0");
  CHECK(node.value("net/ipv4/tcp_fin_timeout") == "30");
}

void check_now(const TuningNode& node) {
  const json link = node.link();
  CHECK(link.at("mtu") == 1300);
  CHECK(link.at("txqlen") == 55);
  CHECK(link.at("promiscuity") == 0);
  CHECK(node.value("net/ipv4/conf/eth0/arp_filter") == "1");
  CHECK(node.value("net/ipv4/conf/eth0/proxy_arp") == "1");
  CHECK(node.value("net/ipv4/tcp_fin_timeout") == "60");
}

}  // namespace

TEST_CASE("UPDATE of tuning changes and adds and takes back", "[netns]") {
  TuningNode node;
  const json original = node.link();
  (void)node.add_tuned(kWas);
  const PluginRun run = update(node, kWas, kNow);
  INFO(run.describe());
  REQUIRE(run.ok());
  CHECK(run.document.at("result").at("interfaces")[2].at("mtu") == 1300);
  CHECK(run.document.at("changed").size() == 5);
  check_now(node);
  CHECK(node.tune("CHECK", kNow).ok());
  check_error(node.tune("CHECK", kWas), 105, "Error: Tuning configured");
  CHECK(json::parse(file_text(node.backup())).at("txQLen") == 1000);

  SECTION("and DEL puts all back") { node.del_tuned(kNow); }
  SECTION("and back again") {
    REQUIRE(update(node, kNow, kWas).ok());
    check_was(node);
    CHECK(node.tune("CHECK", kWas).ok());
    node.del_tuned(kWas);
  }
  CHECK(node.link() == original);
  CHECK(node.value("net/ipv4/conf/eth0/arp_filter") == "0");
  CHECK(node.value("net/ipv4/conf/eth0/proxy_arp") == "0");
  CHECK(node.value("net/ipv4/tcp_fin_timeout") == "60");
  CHECK_FALSE(os::is_regular_file(node.backup()));
}

TEST_CASE("UPDATE of tuning to nothing leaves nothing", "[netns]") {
  TuningNode node;
  const json original = node.link();
  const json config = {{"mtu", 1400}, {"sysctl", {{"net.ipv4.tcp_fin_timeout", "30"}}}};
  (void)node.add_tuned(config);
  REQUIRE(update(node, config, json::object()).ok());
  CHECK(node.link() == original);
  CHECK(node.value("net/ipv4/tcp_fin_timeout") == "60");
  // What has not been configured for two updates is not remembered any more.
  REQUIRE(update(node, json::object(), {{"txQLen", 55}}).ok());
  const json backup = json::parse(file_text(node.backup()));
  CHECK_FALSE(backup.contains("mtu"));
  CHECK_FALSE(backup.contains("sysctl"));
  CHECK(backup.at("txQLen") == 1000);
  REQUIRE(update(node, {{"txQLen", 55}}, config).ok());
  CHECK(node.link().at("mtu") == 1400);
  node.del_tuned(config);
  CHECK(node.link() == original);
}

TEST_CASE("UPDATE of tuning may be repeated after it was killed", "[netns]") {
  TuningNode node;
  const json original = node.link();
  (void)node.add_tuned(kWas);
  // Killed when it was done: the runtime still has the old configuration.
  REQUIRE(update(node, kWas, kNow).ok());
  REQUIRE(update(node, kWas, kNow).ok());
  check_now(node);
  // Killed in the middle.
  (void)ip_in("c1", {"link", "set", "eth0", "mtu", "1400", "promisc", "on"});
  node.set("net/ipv4/conf/eth0/proxy_arp", "0");
  REQUIRE(update(node, kWas, kNow).ok());
  check_now(node);
  node.del_tuned(kNow);
  CHECK(node.link() == original);
}

TEST_CASE("a failed UPDATE of tuning leaves what was configured", "[netns]") {
  TuningNode node;
  (void)node.add_tuned(kWas);
  const std::string text = file_text(node.backup());
  json bad = kNow;
  bad["mtu"] = 70000;
  const PluginRun refused = update(node, kWas, bad);
  check_error(refused, 102, "set the MTU of eth0 to 70000: invalid argument");
  CHECK(refused.details() == "mtu greater than device maximum");
  check_was(node);
  CHECK(file_text(node.backup()) == text);

  Hooks at_print;
  at_print.before_print = [] { throw Error(Code::kInternal, "the probe"); };
  check_error(update(node, kWas, kNow, at_print), 999, "the probe");
  check_was(node);
  CHECK(file_text(node.backup()) == text);

  Hooks at_push;
  at_push.on_undo_push = [](std::string_view /*unused*/) {
    throw Error(Code::kInternal, "the probe");
  };
  check_error(update(node, kWas, kNow, at_push), 999, "the probe");
  check_was(node);
  CHECK(file_text(node.backup()) == text);
}

TEST_CASE("UPDATE of tuning refuses what cannot be changed or would fail ADD", "[netns]") {
  TuningNode node;
  (void)node.add_tuned(kWas);
  json other_mac = kWas;
  other_mac["mac"] = "02:00:00:00:01:cd";
  CHECK(update(node, kWas, other_mac).code() == 108);
  json other_folder = kWas;
  other_folder["dataDir"] = "/run/elsewhere";
  CHECK(update(node, kWas, other_folder).code() == 108);
  json out_of_net = kWas;
  out_of_net["sysctl"]["kernel.hostname"] = "x";
  check_error(update(node, kWas, out_of_net), 7, "invalid net sysctl key: \"kernel.hostname\"");
  check_was(node);

  // Nobody remembers what was there before.
  REQUIRE(os::remove_file(node.backup()));
  json fewer = kWas;
  fewer.erase("mtu");
  check_error(update(node, kWas, fewer), 108,
              "mtu cannot be removed from the configuration of eth0: what it was before is not "
              "known");
  check_was(node);
  // Another value needs no such knowledge.
  fewer["mtu"] = 1350;
  REQUIRE(update(node, kWas, fewer).ok());
  CHECK(node.link().at("mtu") == 1350);
}

TEST_CASE("a trial of an UPDATE of tuning changes nothing", "[netns]") {
  TuningNode node;
  (void)node.add_tuned(kWas);
  const std::string text = file_text(node.backup());
  Call call = update_call(node, kWas, kNow);
  json config = json::parse(call.input);
  config["cni.dev/update"]["trial"] = true;
  call.input = config.dump();
  const PluginRun run = call_in_process(plugin_named("tuning"), call);
  INFO(run.describe());
  CHECK(run.ok());
  CHECK(run.document.at("changed").size() == 5);
  check_was(node);
  CHECK(file_text(node.backup()) == text);
}

TEST_CASE("UPDATE of tuning leaves a parameter that another interface wants", "[netns]") {
  TuningNode node;
  (void)ip_in("c1", {"link", "add", "net1", "type", "veth", "peer", "name", "peer1"});
  const json config = {{"type", "tuning"}, {"sysctl", {{"net.ipv4.tcp_fin_timeout", "30"}}}};
  Call second;
  second.ifname = "net1";
  (void)node.add_tuned(config);
  REQUIRE(node.run("ADD", config, "c1", node.prev_result(), second).ok());
  REQUIRE(update(node, config, json::object()).ok());
  CHECK(node.value("net/ipv4/tcp_fin_timeout") == "30");
  CHECK(node.run("CHECK", config, "c1", node.prev_result(), second).ok());
}
