// What tuning remembers: through killed and repeated ADDs, for namespaces and interfaces that are
// gone, and for the reference plugin.
#include <sys/stat.h>

#include "pkg/os/file.hpp"
#include "test/netns/plugins/meta/tuning_node.hpp"

using namespace cni;
using namespace cni::test;

namespace {

const json kConfig = {
    {"mac", "02:00:00:00:01:ab"},
    {"promisc", true},
    {"mtu", 1400},
    {"allmulti", true},
    {"txQLen", 77},
    {"sysctl", {{"net.ipv4.conf.IFNAME.arp_filter", "1"}, {"net.ipv4.tcp_fin_timeout", "30"}}}};

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

std::string reference() { return require_reference() + "/tuning"; }

PluginRun call_reference(const std::string& command, const TuningNode& node, json config) {
  config.update({{"type", "tuning"}, {"name", "testnet"}, {"cniVersion", "1.1.0"}});
  if (command != "DEL") config["prevResult"] = node.prev_result();
  Call call;
  call.command = command;
  call.container_id = "c1";
  call.netns = "/run/netns/c1";
  call.input = config.dump();
  return cni::test::call(reference(), call);
}

void check_original(const TuningNode& node) {
  const json link = node.link();
  CHECK(link.at("address") == "02:00:00:00:01:00");
  CHECK(link.at("mtu") == 1500);
  CHECK(link.at("txqlen") == 1000);
  CHECK(link.at("promiscuity") == 0);
  CHECK(link.at("flags").dump().find("ALLMULTI") == std::string::npos);
}

}  // namespace

TEST_CASE("the backup is the reference's with more behind it", "[netns]") {
  TuningNode node;
  (void)node.add_tuned(kConfig);
  const std::string text = file_text(node.backup());
  const std::string start =
      "{\n \"mac\": \"02:00:00:00:01:00\",\n \"promisc\": false,\n \"mtu\": 1500,\n"
      " \"allmulti\": false,\n \"txQLen\": 1000,\n \"network\": \"testnet\",\n";
  CHECK(text.substr(0, start.size()) == start);
  CHECK(json::parse(text).at("sysctl") ==
        json{{"net/ipv4/conf/eth0/arp_filter", "0"}, {"net/ipv4/tcp_fin_timeout", "60"}});
  CHECK(mode_of(node.backup()) == 0600);
  CHECK(mode_of("/run/cni/tuning") == 0700);
}

TEST_CASE("the folder of the backups may be elsewhere", "[netns]") {
  TuningNode node;
  const std::string folder = node.spaces.folder() + "/deep/tuning";
  const json config = {{"mtu", 1400}, {"dataDir", folder}};
  (void)node.add_tuned(config);
  CHECK(os::is_regular_file(folder + "/c1_eth0.json"));
  CHECK_FALSE(os::is_regular_file(node.backup()));
  node.del_tuned(config);
  CHECK(os::list_directory(folder).empty());
  check_original(node);
}

TEST_CASE("a second ADD does not take tuned values for the original ones", "[netns]") {
  TuningNode node;
  (void)node.add_tuned(kConfig);
  json other = kConfig;
  other["mtu"] = 1300;
  other["sysctl"]["net.ipv4.conf.IFNAME.proxy_arp"] = "1";
  (void)node.add_tuned(other);
  CHECK(node.link().at("mtu") == 1300);
  const std::string text = file_text(node.backup());

  // One that fails leaves the first two as they are.
  other["txQLen"] = 5;
  other["mtu"] = 70000;
  check_error(node.tune("ADD", other), 102, "set the MTU of eth0");
  CHECK(node.link().at("mtu") == 1300);
  CHECK(node.link().at("txqlen") == 77);
  CHECK(file_text(node.backup()) == text);

  node.del_tuned(kConfig);
  check_original(node);
  CHECK(node.value("net/ipv4/conf/eth0/arp_filter") == "0");
  CHECK(node.value("net/ipv4/conf/eth0/proxy_arp") == "0");
  CHECK(node.value("net/ipv4/tcp_fin_timeout") == "60");
}

TEST_CASE("DEL needs no configuration and removes the backup without a namespace too", "[netns]") {
  TuningNode node;
  (void)node.add_tuned(kConfig);
  node.del_tuned(json::object());
  check_original(node);

  (void)node.add_tuned(kConfig);
  node.spaces.remove_container("c1");
  node.del_tuned(kConfig);
  CHECK_FALSE(os::is_regular_file(node.backup()));
  node.del_tuned(kConfig);
}

TEST_CASE("values of an interface do not go to another one of its name", "[netns]") {
  TuningNode node;
  (void)node.add_tuned(kConfig);
  (void)ip_in("c1", {"link", "del", "eth0"});
  node.make_interface();
  (void)ip_in("c1", {"link", "set", "eth0", "mtu", "1234"});
  node.del_tuned(kConfig);
  CHECK(node.link().at("mtu") == 1234);
  // What is of the namespace is put back all the same.
  CHECK(node.value("net/ipv4/tcp_fin_timeout") == "60");
  CHECK_FALSE(os::is_regular_file(node.backup()));

  // Nor do those of a namespace, whose number of the interface may be the same.
  (void)node.add_tuned(kConfig);
  node.spaces.remove_container("c1");
  (void)node.spaces.container("c1");
  node.make_interface();
  const json fresh = node.link();
  (void)node.add_tuned({{"mtu", 1300}});
  const json backup = json::parse(file_text(node.backup()));
  CHECK(backup.at("mtu") == 1500);
  CHECK_FALSE(backup.contains("sysctl"));
  node.del_tuned({{"mtu", 1300}});
  CHECK(node.link() == fresh);
}

TEST_CASE("a parameter that two interfaces want stays until the last one goes", "[netns]") {
  TuningNode node;
  (void)ip_in("c1", {"link", "add", "net1", "type", "veth", "peer", "name", "peer1"});
  const json config = {{"sysctl", {{"net.ipv4.tcp_fin_timeout", "30"}}}, {"type", "tuning"}};
  Call second;
  second.ifname = "net1";
  (void)node.add_tuned(config);
  REQUIRE(node.run("ADD", config, "c1", node.prev_result(), second).ok());
  node.del_tuned(config);
  CHECK(node.value("net/ipv4/tcp_fin_timeout") == "30");
  CHECK(node.run("CHECK", config, "c1", node.prev_result(), second).ok());
  REQUIRE(node.run("DEL", config, "c1", nullptr, second).ok());
  CHECK(os::list_directory("/run/cni/tuning").empty());
}

TEST_CASE("a torn backup is no reason to keep a container", "[netns]") {
  TuningNode node;
  os::make_directories("/run/cni/tuning");
  for (const char* text : {"", "{\"mtu\": 14", "[]", "null", "{\"mtu\": \"x\"}", "\xff"}) {
    write_file(node.backup(), text);
    INFO(text);
    const PluginRun run = node.tune("DEL", kConfig);
    CHECK(run.ok());
    CHECK_FALSE(os::is_regular_file(node.backup()));
    check_original(node);
  }
}

TEST_CASE("a value that cannot be put back is said and holds nothing up", "[netns]") {
  TuningNode node;
  os::make_directories("/run/cni/tuning");
  write_file(node.backup(),
             R"({"mtu": 1400, "mac": "01:00:00:00:00:00", "sysctl": {"net/ipv4/nothing": "1",
                 "net/ipv4/tcp_fin_timeout": "33", "kernel/hostname": "x"}})");
  const PluginRun run = node.tune("DEL", kConfig);
  INFO(run.describe());
  CHECK(run.ok());
  CHECK(run.err.find("set the MAC address of eth0 to 01:00:00:00:00:00") != std::string::npos);
  CHECK(run.err.find("/proc/sys/net/ipv4/nothing") != std::string::npos);
  CHECK(node.link().at("mtu") == 1400);
  CHECK(node.value("net/ipv4/tcp_fin_timeout") == "33");
  CHECK_FALSE(os::is_regular_file(node.backup()));
}

TEST_CASE("another attachment's backup is left alone", "[netns]") {
  TuningNode node;
  os::make_directories("/run/cni/tuning");
  const std::string others =
      R"({"mtu": 1400, "network": "testnet", "containerID": "c1_eth0.json", "ifname": "x"})";
  write_file(node.backup(), others);
  check_error(node.tune("ADD", kConfig), 106, node.backup() + " belongs to x of container ");
  node.del_tuned(kConfig);
  CHECK(file_text(node.backup()) == others);
  check_original(node);
}

TEST_CASE("GC removes backups of attachments that are gone", "[netns]") {
  TuningNode node;
  os::make_directories("/run/cni/tuning");
  os::make_directories("/var/lib/cni/results");
  const auto put = [](const std::string& name, const std::string& text) {
    write_file("/run/cni/tuning/" + name, text);
  };
  const auto ours = [](const std::string& network, const std::string& id) {
    return json{{"network", network}, {"containerID", id}, {"ifname", "eth0"}}.dump();
  };
  put("valid_eth0.json", ours("testnet", "valid"));
  put("gone_eth0.json", ours("testnet", "gone"));
  put("other_eth0.json", ours("othernet", "other"));
  put("ref-valid_eth0.json", R"({"mtu": 1500})");
  put("ref_gone_eth0.json", R"({"mtu": 1500})");
  put("ref-other_eth0.json", R"({"mtu": 1500})");
  put("note.txt", "");
  const json config = {{"cni.dev/valid-attachments",
                        {{{"containerID", "valid"}, {"ifname", "eth0"}},
                         {{"containerID", "ref-valid"}, {"ifname", "eth0"}}}}};
  const auto left = [] {
    auto names = os::list_directory("/run/cni/tuning");
    std::sort(names.begin(), names.end());
    return names;
  };
  // Nobody keeps a cache of results: it cannot be told of which network the reference's files are.
  REQUIRE(node.tune("GC", config).ok());
  CHECK(left() == std::vector<std::string>{"note.txt", "other_eth0.json", "ref-other_eth0.json",
                                           "ref-valid_eth0.json", "ref_gone_eth0.json",
                                           "valid_eth0.json"});
  write_file("/var/lib/cni/results/testnet-valid-eth0", "{}");
  write_file("/var/lib/cni/results/othernet-ref-other-eth0", "{}");
  REQUIRE(node.tune("GC", config).ok());
  CHECK(left() == std::vector<std::string>{"note.txt", "other_eth0.json", "ref-other_eth0.json",
                                           "ref-valid_eth0.json", "valid_eth0.json"});
}

TEST_CASE("the reference puts back what ours changed of the interface", "[netns]") {
  (void)reference();
  TuningNode node;
  (void)node.add_tuned(kConfig);
  json checked = kConfig;
  checked["sysctl"] = {{"net.ipv4.tcp_fin_timeout", "30"}};
  const PluginRun check = call_reference("CHECK", node, checked);
  INFO(check.describe());
  CHECK(check.ok());
  REQUIRE(call_reference("DEL", node, kConfig).ok());
  check_original(node);
  CHECK_FALSE(os::is_regular_file(node.backup()));

  // A backup of parameters alone changes nothing there.
  (void)node.add_tuned({{"sysctl", kConfig.at("sysctl")}});
  REQUIRE(call_reference("DEL", node, kConfig).ok());
  check_original(node);
  CHECK_FALSE(os::is_regular_file(node.backup()));
}

TEST_CASE("ours puts back what the reference changed of the interface", "[netns]") {
  (void)reference();
  TuningNode node;
  const PluginRun added = call_reference("ADD", node, kConfig);
  INFO(added.describe());
  REQUIRE(added.ok());
  CHECK(mode_of("/run/cni/tuning") == 0600);
  const PluginRun checked = node.tune("CHECK", kConfig);
  INFO(checked.describe());
  CHECK(checked.ok());
  node.del_tuned(kConfig);
  check_original(node);
  CHECK_FALSE(os::is_regular_file(node.backup()));
  CHECK(mode_of("/run/cni/tuning") == 0600);

  REQUIRE(call_reference("ADD", node, kConfig).ok());
  node.spaces.remove_container("c1");
  node.del_tuned(kConfig);
  CHECK_FALSE(os::is_regular_file(node.backup()));
}
