// DEL of host-device: the device comes back whatever the container has done to it, and nobody
// else's does.
#include "test/netns/plugins/main/host_device_node.hpp"
#include "test/support/catch.hpp"
#include "test/support/snapshot.hpp"

using namespace cni::test;

namespace {

bool is_back(const std::string& name = "nic0") {
  const auto link = find_link_json("", name);
  return link && link->at("address") == kDeviceMac && !link->contains("ifalias") &&
         !has_flag(*link, "UP") && addresses_on("", name).empty();
}

bool is_lent_as(const std::string& name) {
  const auto link = find_link_json("c1", name);
  return link && link->at("address") == kDeviceMac;
}

}  // namespace

TEST_CASE("a device that the container has renamed comes back without anything but its id",
          "[netns]") {
  HostDeviceNode node;
  (void)node.add(host_device_with_addresses());
  HostDeviceNode::rename("eth0", "wan0");
  (void)ip({"-n", "c1", "link", "set", "wan0", "alias", ""});
  // The alias is gone, but not the name in the configuration.
  node.del(host_device_with_addresses());
  CHECK(is_back());

  (void)node.add(host_device_with_addresses());
  HostDeviceNode::rename("eth0", "wan0");
  json useless = host_device_with_addresses();
  useless["device"] = 7;
  node.del(useless);
  CHECK(is_back());
}

TEST_CASE("a renamed device without a tag comes back by its alias", "[netns]") {
  HostDeviceNode node;
  (void)node.add(host_device());
  HostDeviceNode::untag("eth0");
  HostDeviceNode::rename("eth0", "wan0");
  // What stands on it has its address too.
  (void)ip({"-n", "c1", "link", "add", "link", "wan0", "name", "on-wan0", "type", "macvlan", "mode",
            "passthru"});
  node.del(host_device());
  CHECK(is_back());
}

TEST_CASE("a renamed device without a tag comes back by its MAC address", "[netns]") {
  const bool from_prev_result = GENERATE(false, true);
  CAPTURE(from_prev_result);
  HostDeviceNode node;
  json config = {{"type", "host-device"}, {"hwaddr", kDeviceMac}};
  const json result = node.add(config);
  HostDeviceNode::untag("eth0");
  HostDeviceNode::rename("eth0", "wan0");
  // A bridge of the container's with the same address is not the device.
  (void)ip({"-n", "c1", "link", "add", "br0", "address", kDeviceMac, "type", "bridge"});
  if (from_prev_result) config["hwaddr"] = 7;
  node.del(config, "c1", from_prev_result ? result : json());
  CHECK(is_back());
  CHECK(find_link_json("c1", "br0"));
}

TEST_CASE("a device that is a port in the container comes back", "[netns]") {
  HostDeviceNode node;
  (void)node.add(host_device());
  (void)ip({"-n", "c1", "link", "add", "br0", "type", "bridge"});
  (void)ip({"-n", "c1", "link", "set", "eth0", "master", "br0"});
  node.del(host_device());
  CHECK(is_back());
  CHECK_FALSE(find_link_json("", "nic0")->contains("master"));
}

TEST_CASE("a second attachment of the same device that failed takes nothing from the first",
          "[netns]") {
  HostDeviceNode node;
  const json config = host_device_with_addresses();
  (void)node.add(config);
  Call second;
  second.ifname = "net1";
  check_error(node.run("ADD", config, "c1", nullptr, second), 7, "failed to find host device: ");
  CHECK(node.run("DEL", config, "c1", nullptr, second).ok());
  CHECK(is_lent_as("eth0"));
  node.del(config);
  CHECK(is_back());
}

TEST_CASE("two devices of one container each come back", "[netns]") {
  HostDeviceNode node;
  HostDeviceNode::add_device("nic1", "02:00:00:00:31:02", "far1");
  const json other = host_device({{"device", "nic1"}});
  Call second;
  second.ifname = "net1";
  (void)node.add(host_device());
  (void)node.add(other, "c1", second);
  // The container has exchanged their names.
  HostDeviceNode::rename("eth0", "x");
  HostDeviceNode::rename("net1", "eth0");
  HostDeviceNode::rename("x", "net1");
  node.del(host_device());
  CHECK(is_back());
  CHECK(find_link_json("c1", "eth0")->at("ifalias") == "nic1");
  CHECK(node.run("DEL", other, "c1", nullptr, second).ok());
  CHECK(find_link_json("", "nic1"));
}

TEST_CASE("a device whose name is taken comes back under a free one", "[netns]") {
  HostDeviceNode node;
  const json config = host_device_with_addresses();
  (void)node.add(config);
  (void)ip({"link", "add", "nic0", "type", "veth", "peer", "name", "dev0"});
  const PluginRun run = node.run("DEL", config);
  check_error(run, 106,
              "device eth0 of the container is back on the host as \"dev1\": its name \"nic0\" is "
              "taken");
  CHECK(is_back("dev1"));
  node.del(config);
  // The address is free again.
  HostDeviceNode::add_device("nic2", "02:00:00:00:31:03", "far2");
  const json result = node.add(host_device_with_addresses({{"device", "nic2"}}));
  CHECK(result.at("ips").size() == 2);
}

TEST_CASE("a device whose name has become an alternative one comes back under a free one",
          "[netns]") {
  HostDeviceNode node;
  (void)node.add(host_device());
  (void)ip({"link", "add", "veth7", "type", "veth", "peer", "name", "veth8"});
  (void)ip({"link", "property", "add", "dev", "veth7", "altname", "nic0"});
  check_error(node.run("DEL", host_device()), 106,
              "device eth0 of the container is back on the host as \"dev0\"");
  CHECK(is_back("dev0"));
}

TEST_CASE("an alias that is no name does not keep the device in the container", "[netns]") {
  const std::string alias = GENERATE("a/b", "two words", "nic%d", "much-longer-than-a-name");
  CAPTURE(alias);
  HostDeviceNode node;
  (void)node.add(host_device());
  (void)ip({"-n", "c1", "link", "set", "eth0", "alias", alias});
  check_error(node.run("DEL", host_device()), 106,
              "device eth0 of the container is back on the host as \"dev0\": its name \"" + alias +
                  "\" cannot be used");
  CHECK(is_back("dev0"));
}

TEST_CASE("an interface that is not known to be the device is left and named", "[netns]") {
  HostDeviceNode node;
  (void)ip({"-n", "c1", "link", "add", "eth0", "type", "veth", "peer", "name", "other"});
  PluginRun run = node.run("DEL", host_device());
  CHECK(run.ok());
  CHECK(run.err.find("eth0 is left in the container: failed to find original ifname for \"eth0\" "
                     "(alias is not set)") != std::string::npos);
  CHECK(find_link_json("c1", "eth0"));

  (void)ip({"-n", "c1", "link", "set", "eth0", "alias", "nic5"});
  run = node.run("DEL", host_device());
  CHECK(run.ok());
  CHECK(run.err.find("by its alias it is \"nic5\", not \"nic0\"") != std::string::npos);
  CHECK(find_link_json("c1", "eth0"));

  // Two of them have the right alias.
  (void)ip({"-n", "c1", "link", "del", "eth0"});
  for (const std::string name : {"one", "two"}) {
    (void)ip({"-n", "c1", "link", "add", name, "type", "veth", "peer", "name", "far-" + name,
              "netns", "wire"});
    (void)ip({"-n", "c1", "link", "set", name, "alias", "nic0"});
  }
  run = node.run("DEL", host_device());
  CHECK(run.ok());
  CHECK(run.err.find("it cannot be told which of one, two is the device of eth0") !=
        std::string::npos);
  CHECK(find_link_json("c1", "one"));
  CHECK(find_link_json("c1", "two"));
}

TEST_CASE("DEL releases the address when nothing leads to the device", "[netns]") {
  HostDeviceNode node;
  const json config = host_device_with_addresses();
  (void)node.add(config);
  const auto reserved = [] {
    return cni::test::run({"ls", "/var/lib/cni/networks/testnet"}).out.find("10.31.0.2") !=
           std::string::npos;
  };
  CHECK(reserved());
  json whole = config;
  whole["cniVersion"] = "1.1.0";
  whole["name"] = "testnet";
  Call call;
  call.command = "DEL";
  call.container_id = "c1";
  call.input = whole.dump();
  CHECK(call_in_process(plugin_named("host-device"), call).ok());
  CHECK_FALSE(reserved());
  CHECK(is_lent_as("eth0"));
  node.del(config);
  CHECK(is_back());
}
