// tap: the device, its settings, and errors.
#include <fcntl.h>
#include <unistd.h>

#include <thread>

#include "pkg/os/fd.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"
#include "test/support/snapshot.hpp"

using namespace cni::test;

namespace {

class TapNode : public PluginNode {
 public:
  TapNode() { (void)spaces.container("c1"); }
};

json tap(const json& more = json::object()) {
  json config = {{"type", "tap"}};
  config.update(more);
  return config;
}

json tap_with_addresses(const json& more = json::object()) {
  json config = tap({{"ipam",
                      {{"type", "host-local"},
                       {"ranges", json::array({json::array({{{"subnet", "10.32.0.0/16"}}}),
                                               json::array({{{"subnet", "fd00:32::/64"}}})})}}}});
  config.update(more);
  return config;
}

json eth0() { return find_link_json("c1", "eth0").value(); }

// What `ip` has of the device that ADD makes, which then goes.
json made(TapNode& node, const json& more, const Call& rest = {}) {
  const json config = tap(more);
  const PluginRun run = node.run("ADD", config, "c1", nullptr, rest);
  INFO(run.describe());
  REQUIRE(run.ok());
  json link = eth0();
  CHECK(run.document.at("interfaces")[0].at("mac") == link.at("address"));
  node.check(config, run.document);
  node.del(config);
  CHECK_FALSE(find_link_json("c1", "eth0"));
  return link;
}

json data_of(const json& link) { return link.at("linkinfo").at("info_data"); }

}  // namespace

TEST_CASE("tap makes a device at every version and leaves nothing after DEL", "[netns]") {
  const std::string version =
      GENERATE("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0");
  CAPTURE(version);
  require_kind("tap");
  TapNode node;
  const json config = tap_with_addresses({{"cniVersion", version}});
  const Snapshot before = take({"c1"});
  const json result = node.add(config);
  CHECK(eth0().at("linkinfo").at("info_kind") == "tun");
  CHECK(data_of(eth0()).at("type") == "tap");
  CHECK(data_of(eth0()).at("persist") == true);
  CHECK(addresses_on("c1", "eth0") == std::vector<std::string>{"10.32.0.2/16", "fd00:32::2/64"});
  if (version >= "0.4.0") node.check(config, result);
  node.del(config);
  CHECK(diff(without_shared(before), without_shared(take({"c1"}))) == "");
  node.del(config);
}

TEST_CASE("tap sets each of its options", "[netns]") {
  require_kind("tap");
  TapNode node;
  CHECK(made(node, {{"mtu", 1400}}).at("mtu") == 1400);
  CHECK(made(node, {{"mac", "02:00:00:00:32:07"}}).at("address") == "02:00:00:00:32:07");
  CHECK(data_of(made(node, {{"multiQueue", true}})).at("multi_queue") == true);
  CHECK(data_of(made(node, {{"owner", 4321}})).at("user") == 4321);
  CHECK(data_of(made(node, {{"group", 4321}})).at("group") == 4321);
  const json plain = data_of(made(node, json::object()));
  CHECK_FALSE(plain.contains("user"));
  CHECK_FALSE(plain.contains("group"));
  CHECK(plain.at("multi_queue") == false);
  // Also where the reference forgets them.
  const json both =
      made(node, {{"owner", 4321}, {"group", 4321}, {"mtu", 1400}, {"mac", "02:00:00:00:32:07"}});
  CHECK(both.at("mtu") == 1400);
  CHECK(both.at("address") == "02:00:00:00:32:07");
}

TEST_CASE("tap devices have the flags of the reference's", "[netns]") {
  require_kind("tap");
  struct Row {
    json config;
    bool packet_info, vnet_header;
  };
  const json both = {{"owner", 4321}, {"group", 4321}};
  json both_queues = both;
  both_queues["multiQueue"] = true;
  TapNode node;
  for (const Row& row :
       {Row{json::object(), false, false}, Row{{{"multiQueue", true}}, false, false},
        Row{{{"owner", 4321}}, false, false}, Row{both, true, true},
        Row{both_queues, false, true}}) {
    INFO(row.config.dump());
    const json data = data_of(made(node, row.config));
    CHECK(data.at("pi") == row.packet_info);
    CHECK(data.at("vnet_hdr") == row.vnet_header);
  }
}

TEST_CASE("tap takes its MAC address from the runtime before CNI_ARGS before its key", "[netns]") {
  require_kind("tap");
  TapNode node;
  Call with_args;
  with_args.args = "IgnoreUnknown=1;MAC=02:00:00:00:32:02";
  const json key = {{"mac", "02:00:00:00:32:01"}};
  json runtime = key;
  runtime["runtimeConfig"] = {{"mac", "02:00:00:00:32:03"}};
  CHECK(made(node, key).at("address") == "02:00:00:00:32:01");
  CHECK(made(node, key, with_args).at("address") == "02:00:00:00:32:02");
  CHECK(made(node, runtime, with_args).at("address") == "02:00:00:00:32:03");
}

TEST_CASE("tap becomes a port of a bridge in the container", "[netns]") {
  require_kind("tap");
  TapNode node;
  (void)ip({"-n", "c1", "link", "add", "br0", "type", "bridge"});
  (void)ip({"-n", "c1", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1"});
  const json config = tap({{"bridge", "br0"}});
  const json result = node.add(config);
  CHECK(eth0().at("master") == "br0");
  node.check(config, result);
  (void)ip({"-n", "c1", "link", "set", "eth0", "nomaster"});
  check_error(node.run("CHECK", config, "c1", result), 105,
              "Interface eth0 is not a port of bridge br0");
  node.del(config);

  check_error(node.run("ADD", tap({{"bridge", "br1"}})), 7,
              "failed to get bridge br1: no such device");
  check_error(node.run("ADD", tap({{"bridge", "veth0"}})), 7,
              "failed to get bridge veth0: it is of type \"veth\"");
  CHECK_FALSE(find_link_json("c1", "eth0"));
}

TEST_CASE("tap does not take a device that the container has already", "[netns]") {
  require_kind("tap");
  TapNode node;
  (void)ip({"-n", "c1", "tuntap", "add", "name", "eth0", "mode", "tap"});
  const json before = eth0();
  check_error(node.run("ADD", tap()), 106, "failed to create tap: \"eth0\" already exists");
  CHECK(eth0() == before);
}

TEST_CASE("tap works with a host that has an interface of that name", "[netns]") {
  require_kind("tap");
  TapNode node;
  (void)ip({"link", "add", "eth0", "type", "veth", "peer", "name", "other"});
  (void)node.add(tap());
  node.del(tap());
  CHECK(find_link_json("", "eth0"));
  CHECK_FALSE(find_link_json("c1", "eth0"));
}

TEST_CASE("tap does not wait for an IPv6 address that nobody can use yet", "[netns]") {
  require_kind("tap");
  TapNode node;
  const auto start = std::chrono::steady_clock::now();
  (void)node.add(tap_with_addresses());
  // Detection would have gone on until its deadline of five seconds.
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(3));
}

TEST_CASE("tap makes its device in another SELinux context or says that there is none", "[netns]") {
  require_kind("tap");
  TapNode node;
  const std::string context = "system_u:system_r:container_t:s0";
  // A thread that ends at once, so that nothing is run in the context here.
  bool possible = false;
  std::thread([&] {
    const cni::os::Fd fd(::open("/proc/thread-self/attr/exec", O_WRONLY | O_CLOEXEC));
    possible = fd && ::write(fd.get(), context.data(), context.size()) > 0;
  }).join();
  const Snapshot before = take({"c1"});
  json config = tap({{"cniVersion", "1.1.0"},
                     {"name", "testnet"},
                     {"selinuxContext", context},
                     {"owner", 4321},
                     {"group", 4322},
                     {"multiQueue", true}});
  Call call;
  call.command = "ADD";
  call.netns = "/run/netns/c1";
  call.input = config.dump();
  // The executable, as it runs itself.
  const PluginRun run = cni::test::call("tap", call);
  INFO(run.describe());
  REQUIRE(run.ok() == possible);
  if (!possible) {
    check_error(run, 102, "failed set socket label: write /proc/thread-self/attr/exec: ");
    CHECK(diff(without_shared(before), without_shared(take({"c1"}))) == "");
    return;
  }
  const json data = data_of(eth0());
  CHECK(data.at("user") == 4321);
  CHECK(data.at("group") == 4322);
  CHECK(data.at("multi_queue") == true);
  CHECK(data.at("persist") == true);
  CHECK(data.at("vnet_hdr") == false);
}

// What the plugin runs itself with for another SELinux context.
TEST_CASE("the command tap create makes a device in the namespace that it is run in", "[netns]") {
  require_kind("tap");
  TapNode node;
  const auto created = [](const std::string& name, const std::string& owner) {
    const std::string command = executable("tap") + " create " + name + " mt " + owner + " 4322";
    return run_in("c1", {"sh", "-c", command});
  };
  CHECK(created("eth0", "-").ok());
  CHECK(data_of(eth0()).at("group") == 4322);
  CHECK_FALSE(data_of(eth0()).contains("user"));
  CHECK(data_of(eth0()).at("multi_queue") == true);
  const cni::os::Exit taken = created("eth0", "-");
  CHECK(taken.status == 1);
  CHECK(taken.err == "add tap eth0: device or resource busy");
  CHECK(created("eth1", "root").err == "\"root\" is no id");
  CHECK(run_in("c1", {"sh", "-c", executable("tap") + " make"}).status == 2);
}

TEST_CASE("CHECK of tap names what is wrong with the device", "[netns]") {
  require_kind("tap");
  TapNode node;
  const json config = tap_with_addresses({{"mtu", 1400}});
  const json result = node.add(config);
  const auto refused = [&](const std::string& msg_start) {
    check_error(node.run("CHECK", config, "c1", result), 105, msg_start);
  };
  (void)ip({"-n", "c1", "link", "set", "eth0", "mtu", "1300"});
  refused("Interface eth0 MTU 1300 doesn't match 1400");
  (void)ip({"-n", "c1", "link", "set", "eth0", "mtu", "1400"});
  (void)ip({"-n", "c1", "address", "del", "10.32.0.2/16", "dev", "eth0"});
  refused("Failed to match addr 10.32.0.2/16 on interface eth0");
  (void)ip({"-n", "c1", "link", "set", "eth0", "down"});
  refused("Interface eth0 is down");
  (void)ip({"-n", "c1", "link", "del", "eth0"});
  (void)ip({"-n", "c1", "tuntap", "add", "name", "eth0", "mode", "tun"});
  json without_mac = result;
  without_mac["interfaces"][0].erase("mac");
  check_error(node.run("CHECK", config, "c1", without_mac), 105,
              "Error: Container interface eth0 not of type tap");
}

TEST_CASE("STATUS and GC of tap succeed where devices can be made", "[netns]") {
  require_kind("tap");
  TapNode node;
  CHECK(node.run("STATUS", tap()).ok());
  CHECK(node.run("GC", tap()).ok());
}
