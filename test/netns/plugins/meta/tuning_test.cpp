// Each option of tuning changes what it names and nothing else, and DEL puts it back.
#include <sys/mount.h>
#include <unistd.h>

#include <set>

#include "pkg/os/file.hpp"
#include "test/netns/plugins/meta/tuning_node.hpp"
#include "test/support/frame_capture.hpp"
#include "test/support/snapshot.hpp"

using namespace cni;
using namespace cni::test;

namespace {

// The keys of the interface's description that are not the same.
std::set<std::string> changed_keys(const json& before, const json& after) {
  std::set<std::string> out;
  for (const auto& [key, value] : before.items()) {
    if (after.value(key, json()) != value) out.insert(key);
  }
  for (const auto& [key, value] : after.items()) {
    if (!before.contains(key)) out.insert(key);
  }
  return out;
}

bool has_flag(const json& link, const char* flag) {
  const json& flags = link.at("flags");
  return std::find(flags.begin(), flags.end(), flag) != flags.end();
}

struct Option {
  json config;
  std::set<std::string> changes;
  bool (*is_there)(const json& link);
};

const std::vector<Option>& options() {
  static const std::vector<Option> kAll = {
      {{{"mac", "02:00:00:00:01:AB"}},
       {"address"},
       [](const json& link) { return link.at("address") == "02:00:00:00:01:ab"; }},
      {{{"promisc", true}},
       {"flags", "promiscuity"},
       [](const json& link) { return has_flag(link, "PROMISC"); }},
      {{{"mtu", 1400}}, {"mtu"}, [](const json& link) { return link.at("mtu") == 1400; }},
      {{{"allmulti", true}},
       {"flags", "allmulti"},
       [](const json& link) { return has_flag(link, "ALLMULTI"); }},
      {{{"txQLen", 77}}, {"txqlen"}, [](const json& link) { return link.at("txqlen") == 77; }},
      // `ip` leaves out a length of 0.
      {{{"txQLen", 0}}, {"txqlen"}, [](const json& link) { return !link.contains("txqlen"); }},
  };
  return kAll;
}

}  // namespace

TEST_CASE("each option of tuning changes that alone", "[netns]") {
  TuningNode node;
  for (const Option& option : options()) {
    INFO(option.config.dump());
    const json before = node.link();
    REQUIRE_FALSE(option.is_there(before));
    (void)node.add_tuned(option.config);
    const json after = node.link();
    CHECK(option.is_there(after));
    std::set<std::string> allowed = option.changes;
    for (const std::string& key : changed_keys(before, after)) CHECK(allowed.count(key) == 1);
    const PluginRun checked = node.tune("CHECK", option.config);
    INFO(checked.describe());
    CHECK(checked.ok());

    node.del_tuned(option.config);
    CHECK(changed_keys(before, node.link()).empty());
    CHECK_FALSE(os::is_regular_file(node.backup()));
    // CHECK names what is not there any more.
    check_error(node.tune("CHECK", option.config), 105, "Error: Tuning ");
  }
}

TEST_CASE("tuning leaves what is not configured as it finds it", "[netns]") {
  TuningNode node;
  (void)ip_in("c1", {"link", "set", "eth0", "promisc", "on", "allmulticast", "on", "txqlen", "33",
                     "mtu", "1333"});
  for (const Option& option : options()) {
    INFO(option.config.dump());
    const json before = node.link();
    (void)node.add_tuned(option.config);
    for (const std::string& key : changed_keys(before, node.link())) {
      CHECK(option.changes.count(key) == 1);
    }
    node.del_tuned(option.config);
    CHECK(changed_keys(before, node.link()).empty());
  }
  const json before = node.link();
  (void)node.add_tuned({{"sysctl", {{"net.ipv4.conf.IFNAME.arp_filter", "1"}}}});
  CHECK(changed_keys(before, node.link()).empty());
}

TEST_CASE("tuning switches modes off where the configuration says so", "[netns]") {
  TuningNode node;
  (void)ip_in("c1", {"link", "set", "eth0", "promisc", "on", "allmulticast", "on"});
  const json config = {{"promisc", false}, {"allmulti", false}};
  (void)node.add_tuned(config);
  CHECK_FALSE(has_flag(node.link(), "PROMISC"));
  CHECK_FALSE(has_flag(node.link(), "ALLMULTI"));
  CHECK(node.tune("CHECK", config).ok());
  node.del_tuned(config);
  CHECK(has_flag(node.link(), "PROMISC"));
  CHECK(has_flag(node.link(), "ALLMULTI"));
  // What CHECK is not asked for is not compared.
  CHECK(node.tune("CHECK", json::object()).ok());
}

TEST_CASE("the result of tuning names the new address of the container's interface", "[netns]") {
  TuningNode node;
  const json result = node.add_tuned({{"mac", "02:00:00:00:01:AB"}, {"mtu", 1400}});
  json expected = node.prev_result();
  expected["interfaces"][2]["mac"] = "02:00:00:00:01:ab";
  expected["interfaces"][2]["mtu"] = 1400;
  CHECK(result == expected);
}

TEST_CASE("tuning sets kernel parameters and puts them back", "[netns]") {
  TuningNode node;
  const json config = {{"sysctl",
                        {{"net.ipv4.conf.IFNAME.arp_filter", "1"},
                         {"net/ipv6/conf/IFNAME/accept_ra", "0"},
                         {"net.ipv4.tcp_rmem", "4096 8192 16384"},
                         {"net.ipv4.ip_local_reserved_ports", "8080,9000-9010"}}}};
  const auto rmem = node.value("net/ipv4/tcp_rmem");
  (void)node.add_tuned(config);
  CHECK(node.value("net/ipv4/conf/eth0/arp_filter") == "1");
  CHECK(node.value("net/ipv6/conf/eth0/accept_ra") == "0");
  CHECK(node.value("net/ipv4/tcp_rmem") == "4096\t8192\t16384");
  CHECK(node.value("net/ipv4/ip_local_reserved_ports") == "8080,9000-9010");
  CHECK(sysctl("", "net/ipv4/tcp_rmem") == rmem);  // the host's
  CHECK(node.tune("CHECK", config).ok());
  node.set("net/ipv4/tcp_rmem", "4096 8192 16385");
  check_error(node.tune("CHECK", config), 105,
              "Error: Tuning configured value of /proc/sys/net/ipv4/tcp_rmem is 4096 8192 16384, "
              "current value is 4096\t8192\t16385");
  node.del_tuned(config);
  CHECK(node.value("net/ipv4/conf/eth0/arp_filter") == "0");
  CHECK(node.value("net/ipv6/conf/eth0/accept_ra") == "1");
  CHECK(node.value("net/ipv4/tcp_rmem") == rmem);
  CHECK(node.value("net/ipv4/ip_local_reserved_ports") == "");
}

TEST_CASE("dots in an interface's name do not separate", "[netns]") {
  TuningNode node("eth0.100");
  for (const char* key :
       {"net.ipv4.conf.IFNAME.arp_filter", "net/ipv4/conf/IFNAME/arp_filter",
        "net/ipv4/conf/eth0.100/arp_filter", "net.ipv4.conf.eth0/100.arp_filter"}) {
    INFO(key);
    const json config = {{"sysctl", {{key, "1"}}}};
    (void)node.add_tuned(config);
    CHECK(node.value("net/ipv4/conf/eth0.100/arp_filter") == "1");
    CHECK(node.tune("CHECK", config).ok());
    node.del_tuned(config);
    CHECK(node.value("net/ipv4/conf/eth0.100/arp_filter") == "0");
  }
}

TEST_CASE("a read-only proc does where the values are right already", "[netns]") {
  require_root_or_skip();
  TuningNode node;
  node.set("net/ipv4/tcp_rmem", "4096 8192 16384");
  const json right = {{"sysctl", {{"net.ipv4.tcp_rmem", "4096  8192 16384"}}}};
  const json wrong = {{"sysctl", {{"net.ipv4.tcp_rmem", "4096 8192 16385"}}}};
  REQUIRE(::mount("/proc/sys", "/proc/sys", nullptr, MS_BIND, nullptr) == 0);
  REQUIRE(::mount(nullptr, "/proc/sys", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0);
  const PluginRun good = node.tune("ADD", right);
  const PluginRun bad = node.tune("ADD", wrong);
  REQUIRE(::umount("/proc/sys") == 0);
  INFO(good.describe());
  CHECK(good.ok());
  check_error(bad, 102, "open /proc/sys/net/ipv4/tcp_rmem: read-only file system");
}

TEST_CASE("no symbolic link leads tuning out of the tree", "[netns]") {
  require_root_or_skip();
  TuningNode node;
  write_file(node.spaces.folder() + "/victim", "as it was");
  REQUIRE(::mount("none", "/proc/sys/net", "tmpfs", 0, nullptr) == 0);
  const std::string folder = node.spaces.folder();
  const std::string file = folder + "/victim";
  REQUIRE(::symlink(folder.c_str(), "/proc/sys/net/way") == 0);
  REQUIRE(::symlink(file.c_str(), "/proc/sys/net/file") == 0);
  const PluginRun by_folder = node.tune("ADD", {{"sysctl", {{"net.way.victim", "changed"}}}});
  const PluginRun by_file = node.tune("ADD", {{"sysctl", {{"net.file", "changed"}}}});
  REQUIRE(::umount("/proc/sys/net") == 0);
  check_error(by_folder, 102, "open /proc/sys/net/way/victim: ");
  check_error(by_file, 102, "open /proc/sys/net/file: ");
  CHECK(file_text(file) == "as it was");
}

TEST_CASE("a failed tuning puts back what it had changed", "[netns]") {
  TuningNode node;
  const json before = node.link();
  const json config = {{"mac", "02:00:00:00:01:ab"},
                       {"promisc", true},
                       {"mtu", 70000},
                       {"sysctl", {{"net.ipv4.conf.IFNAME.arp_filter", "1"}}}};
  const PluginRun run = node.tune("ADD", config);
  check_error(run, 102, "set the MTU of eth0 to 70000: invalid argument");
  CHECK(run.details() == "mtu greater than device maximum");
  CHECK(changed_keys(before, node.link()).empty());
  CHECK(node.value("net/ipv4/conf/eth0/arp_filter") == "0");
  CHECK_FALSE(os::is_regular_file(node.backup()));

  check_error(node.tune("ADD", {{"promisc", true}, {"sysctl", {{"net.core.nothing", "1"}}}}), 102,
              "open /proc/sys/net/core/nothing: no such file or directory");
  check_error(node.tune("ADD", {{"sysctl", {{"net.ipv4.conf.IFNAME.arp_filter", "x"}}}}), 102,
              "write /proc/sys/net/ipv4/conf/eth0/arp_filter: invalid argument");
  CHECK(changed_keys(before, node.link()).empty());
  CHECK_FALSE(os::is_regular_file(node.backup()));
}

TEST_CASE("CHECK of tuning names what is gone", "[netns]") {
  TuningNode node;
  const json parameter = {{"sysctl", {{"net.ipv4.conf.IFNAME.arp_filter", "1"}}}};
  const json setting = {{"mtu", 1400}};
  (void)node.add_tuned(parameter);
  (void)ip_in("c1", {"link", "del", "eth0"});
  check_error(node.tune("CHECK", parameter), 105,
              "open /proc/sys/net/ipv4/conf/eth0/arp_filter: no such file or directory");
  check_error(node.tune("CHECK", setting), 105, "Error: Tuning link eth0 not found");
}

TEST_CASE("a parameter that can only be written is written", "[netns]") {
  TuningNode node;
  const json config = {{"sysctl", {{"net.ipv4.route.flush", "1"}}}};
  (void)node.add_tuned(config);
  CHECK(node.tune("CHECK", config).ok());
  node.del_tuned(config);
}

TEST_CASE("only a link's settings need the link", "[netns]") {
  TuningNode node;
  Call other;
  const json setting = {{"mtu", 1400}, {"type", "tuning"}};
  const json parameter = {{"sysctl", {{"net.ipv4.conf.all.arp_filter", "1"}}}, {"type", "tuning"}};
  other.ifname = "net1";
  check_error(node.run("ADD", setting, "c1", node.prev_result(), other), 102,
              "failed to lookup \"net1\": no such device");
  CHECK(node.run("ADD", parameter, "c1", node.prev_result(), other).ok());
  CHECK(node.value("net/ipv4/conf/all/arp_filter") == "1");
  CHECK(node.run("DEL", parameter, "c1", nullptr, other).ok());
  CHECK(node.value("net/ipv4/conf/all/arp_filter") == "0");
}

namespace {

json bridge_config() {
  return {{"type", "bridge"},
          {"isGateway", true},
          {"ipam",
           {{"type", "host-local"},
            {"ranges", json::array({json::array({{{"subnet", "10.22.0.0/16"}}}),
                                    json::array({{{"subnet", "fd00:22::/64"}}})})}}}};
}

}  // namespace

TEST_CASE("the plugin in front of tuning still finds its interface as it should be", "[netns]") {
  PluginNode node;
  (void)node.spaces.container("c1");
  json tuning = {{"type", "tuning"}, {"mac", "02:00:00:00:22:AA"},
                 {"mtu", 1400},      {"promisc", true},
                 {"txQLen", 10},     {"sysctl", {{"net.ipv4.conf.IFNAME.arp_filter", "1"}}}};
  json main = GENERATE(bridge_config(),
                       json{{"type", "ptp"},
                            {"mtu", 1450},
                            {"ipam", {{"type", "host-local"}, {"subnet", "10.23.0.0/16"}}}});
  CAPTURE(main.dump());
  const json made = node.add(main);
  const PluginRun tuned = node.run("ADD", tuning, "c1", made);
  INFO(tuned.describe());
  REQUIRE(tuned.ok());
  node.check(main, tuned.document);
  node.check(tuning, tuned.document);
  node.del(tuning, "c1", tuned.document);
  node.del(main, "c1", tuned.document);
}

TEST_CASE("neighbours learn the address that tuning gives", "[netns]") {
  PluginNode node;
  (void)node.spaces.container("c1");
  (void)node.spaces.container("c2");
  (void)node.add(bridge_config(), "c1");
  const json made = node.add(bridge_config(), "c2");
  const json tuning = {{"type", "tuning"}, {"mac", "02:00:00:00:22:aa"}};
  const auto tuned_again = [&](std::size_t offset, const Bytes& wanted) {
    const os::Fd capture = open_capture("c1");
    REQUIRE(node.run("ADD", tuning, "c2", made).ok());
    const bool is_seen = captures(capture, offset, wanted);
    node.del(tuning, "c2", made);
    return is_seen;
  };
  // ARP: sender 02:00:00:00:22:aa, 10.22.0.3.
  CHECK(tuned_again(22, {0x02, 0, 0, 0, 0x22, 0xaa, 10, 22, 0, 3}));
  // ICMPv6 type 136, override flag without solicited flag, target fd00:22::3, then the option with
  // the address.
  CHECK(tuned_again(58, {0x20, 0, 0, 0, 0xfd, 0, 0, 0x22, 0,    0, 0, 0, 0,    0,
                         0,    0, 0, 0, 0,    3, 2, 1,    0x02, 0, 0, 0, 0x22, 0xaa}));
}
