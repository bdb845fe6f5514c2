// ADD, CHECK and STATUS of host-device.
#include "test/netns/plugins/main/host_device_node.hpp"
#include "test/support/catch.hpp"
#include "test/support/snapshot.hpp"

using namespace cni::test;

namespace {

// Which of the container's links there are beside lo.
std::vector<std::string> links_of(const std::string& netns) {
  std::vector<std::string> names;
  for (const json& link : ip({"-n", netns, "-j", "link", "show"})) {
    if (link.at("ifname") != "lo") names.push_back(link.at("ifname"));
  }
  return names;
}

}  // namespace

TEST_CASE("host-device lends a device at every version and leaves nothing after DEL", "[netns]") {
  const std::string version =
      GENERATE("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0");
  CAPTURE(version);
  HostDeviceNode node;
  const json config = host_device_with_addresses({{"cniVersion", version}});
  const Snapshot before = take({"c1"});
  const json result = node.add(config);
  CHECK_FALSE(find_link_json("", "nic0"));
  const json link = find_link_json("c1", "eth0").value();
  CHECK(link.at("address") == kDeviceMac);
  CHECK(link.at("ifalias") == "nic0");
  CHECK(has_flag(link, "UP"));
  CHECK(addresses_on("c1", "eth0") == std::vector<std::string>{"10.31.0.2/16", "fd00:31::2/64"});
  if (version >= "0.4.0") node.check(config, result);
  node.del(config);
  CHECK(diff(without_shared(before), without_shared(take({"c1"}))) == "");
  node.del(config);
}

TEST_CASE("host-device without ipam sets the device up", "[netns]") {
  HostDeviceNode node;
  const json result = node.add(host_device());
  CHECK(result.at("interfaces") ==
        json::array({{{"name", "eth0"}, {"mac", kDeviceMac}, {"sandbox", "/run/netns/c1"}}}));
  CHECK_FALSE(result.contains("ips"));
  CHECK(has_flag(find_link_json("c1", "eth0").value(), "UP"));
  node.check(host_device(), result);
}

TEST_CASE("host-device connects the container with the wire of its device", "[netns]") {
  HostDeviceNode node;
  (void)node.add(host_device_with_addresses());
  const auto container = cni::ns::Netns::open("/run/netns/c1");
  const auto wire = cni::ns::Netns::open("/run/netns/wire");
  CHECK(pings("c1", "10.31.9.9"));
  CHECK(pings("c1", "fd00:31::99"));
  CHECK(tcp_client_seen(container, wire, "10.31.9.9") == "10.31.0.2");
  CHECK(tcp_client_seen(wire, container, "10.31.0.2") == "10.31.9.9");
  CHECK(tcp_client_seen(wire, container, "fd00:31::2") == "fd00:31::99");
}

TEST_CASE("host-device gives a device back as it was when ipam fails", "[netns]") {
  const std::string state = GENERATE("up", "down");
  CAPTURE(state);
  HostDeviceNode node;
  (void)ip({"link", "set", "nic0", state});
  const Snapshot before = take({"c1"});
  const json no_range = {{"ipam", {{"type", "host-local"}, {"subnet", "not a subnet"}}}};
  const PluginRun run = node.run("ADD", host_device(no_range));
  INFO(run.describe());
  CHECK_FALSE(run.ok());
  CHECK(run.details().find("undo failed") == std::string::npos);
  CHECK(has_flag(find_link_json("", "nic0").value(), "UP") == (state == "up"));
  CHECK(diff(without_shared(before), without_shared(take({"c1"}))) == "");
}

TEST_CASE("host-device leaves the device alone when the container has CNI_IFNAME already",
          "[netns]") {
  HostDeviceNode node;
  (void)ip({"link", "set", "nic0", "up"});
  (void)ip({"address", "add", "10.31.0.77/16", "dev", "nic0"});
  (void)ip({"-n", "c1", "link", "add", "eth0", "type", "veth", "peer", "name", "other"});
  check_error(node.run("ADD", host_device_with_addresses()), 106,
              "failed to move \"nic0\" to the container: \"eth0\" already exists");
  CHECK(has_flag(find_link_json("", "nic0").value(), "UP"));
  CHECK(addresses_on("", "nic0") == std::vector<std::string>{"10.31.0.77/16"});
  // The DEL that a runtime sends then takes nothing away from whom it belongs to.
  node.del(host_device_with_addresses());
  CHECK(find_link_json("c1", "eth0"));
}

TEST_CASE("host-device works with a host and a container that have interfaces of those names",
          "[netns]") {
  HostDeviceNode node;
  (void)ip({"link", "add", "eth0", "type", "veth", "peer", "name", "other"});
  (void)ip({"-n", "c1", "link", "add", "nic0", "type", "veth", "peer", "name", "inner"});
  const json result = node.add(host_device());
  CHECK(find_link_json("c1", "eth0")->at("address") == kDeviceMac);
  node.check(host_device(), result);
  node.del(host_device());
  CHECK(find_link_json("", "nic0")->at("address") == kDeviceMac);
  CHECK(find_link_json("", "eth0"));
  CHECK(links_of("c1").size() == 2);
}

TEST_CASE("host-device finds a device by an alternative name and gives it its real one back",
          "[netns]") {
  HostDeviceNode node;
  (void)ip({"link", "property", "add", "dev", "nic0", "altname", "the-uplink-of-the-rack"});
  (void)ip({"link", "property", "add", "dev", "nic0", "altname", "uplink"});
  const json config = host_device({{"device", "uplink"}});
  const json result = node.add(config);
  CHECK(find_link_json("c1", "eth0")->at("ifalias") == "nic0");
  node.check(config, result);
  node.del(config);
  CHECK(find_link_json("", "nic0")->at("address") == kDeviceMac);
}

TEST_CASE("host-device says why a device cannot be lent", "[netns]") {
  HostDeviceNode node;
  (void)ip({"link", "add", "br0", "type", "bridge"});
  const Snapshot before = take({"c1"});
  check_error(node.run("ADD", host_device({{"device", "lo"}})), 7,
              "failed to find host device: lo is the loopback interface");

  const PluginRun bound = node.run("ADD", host_device({{"device", "br0"}}));
  check_error(bound, 102, "move br0 to the container as eth0: invalid argument");
  CHECK(bound.details().find("links of type bridge may be bound to the namespace") !=
        std::string::npos);

  const PluginRun absent = node.run("ADD", host_device({{"device", "nic7"}}));
  check_error(absent, 7,
              "failed to find host device: failed to find physical interface: the host has no "
              "interface \"nic7\"");
  CHECK(diff(without_shared(before), without_shared(take({"c1"}))) == "");

  (void)ip({"link", "set", "nic0", "master", "br0"});
  check_error(node.run("ADD", host_device()), 106,
              "failed to find host device: nic0 is a port of bridge br0, which would lose it");
  CHECK(find_link_json("", "nic0")->at("master") == "br0");
}

TEST_CASE("host-device names an alternative name that is in the way", "[netns]") {
  HostDeviceNode node;
  (void)ip({"link", "property", "add", "dev", "nic0", "altname", "eth7"});
  (void)ip({"-n", "c1", "link", "add", "eth7", "type", "veth", "peer", "name", "other"});
  const PluginRun run = node.run("ADD", host_device());
  INFO(run.describe());
  // Before Linux 6.6 the kernel does not look at them.
  if (run.ok()) return;
  CHECK(run.code() == 102);
  CHECK(run.details().find("alternative name of nic0") != std::string::npos);
  CHECK(find_link_json("", "nic0"));
}

TEST_CASE("host-device lends a device that cannot carry IPv4 without tagging it",
          "[netns][kind:ifb]") {
  require_kind("ifb");
  HostDeviceNode node;
  (void)ip({"link", "add", "ifb7", "type", "ifb"});
  (void)ip({"link", "set", "ifb7", "mtu", "60"});
  const json config = host_device({{"device", "ifb7"}});
  const json result = node.add(config);
  CHECK(sysctl("c1", "net/ipv4/conf/eth0/tag") == "0");
  node.check(config, result);
  HostDeviceNode::rename("eth0", "wan0");
  node.del(config);
  CHECK(find_link_json("", "ifb7"));
}

TEST_CASE("CHECK of host-device names what is wrong with the device", "[netns]") {
  HostDeviceNode node;
  const json config = host_device_with_addresses();
  const json result = node.add(config);
  node.check(config, result);

  (void)ip({"-n", "c1", "address", "del", "10.31.0.2/16", "dev", "eth0"});
  check_error(node.run("CHECK", config, "c1", result), 105,
              "Failed to match addr 10.31.0.2/16 on interface eth0");
  (void)ip({"-n", "c1", "address", "add", "10.31.0.2/16", "dev", "eth0"});

  (void)ip({"-n", "c1", "link", "set", "eth0", "alias", "nic1"});
  node.check(config, result);  // the tag still says whose it is
  HostDeviceNode::untag("eth0");
  check_error(node.run("CHECK", config, "c1", result), 105,
              "Interface eth0 is not the device of this attachment: by its alias it is \"nic1\"");

  (void)ip({"-n", "c1", "link", "set", "eth0", "address", "02:00:00:00:31:77"});
  check_error(node.run("CHECK", config, "c1", result), 105, "Interface eth0 Mac 02:00:00:00:31:77");

  HostDeviceNode::rename("eth0", "wan0");
  check_error(node.run("CHECK", config, "c1", result), 105,
              "Container Interface name in prevResult: eth0 not found");
}

TEST_CASE("STATUS of host-device tells whether the device is on the host", "[netns]") {
  HostDeviceNode node;
  const json config = host_device();
  CHECK(node.run("STATUS", config).ok());
  (void)node.add(config);
  CHECK(node.run("STATUS", config).code() == 50);
  node.del(config);
  CHECK(node.run("STATUS", config).ok());
  CHECK(node.run("GC", config).ok());
}
