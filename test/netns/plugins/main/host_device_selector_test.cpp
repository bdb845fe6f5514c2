// The ways to say which device host-device means.
#include <sys/mount.h>
#include <unistd.h>

#include "pkg/os/file.hpp"
#include "test/netns/plugins/main/host_device_node.hpp"
#include "test/support/catch.hpp"

using namespace cni::test;

namespace {

// Made-up trees over those of the kernel, in the fixture's mounts that nobody else sees: machines
// have no spare PCI devices, and so the plugin needs no way to be told of another sysfs.
class NodeWithBuses : public HostDeviceNode {
 public:
  NodeWithBuses() {
    for (const char* path : {"/sys/bus", "/sys/devices"}) {
      REQUIRE(::mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") == 0);
    }
  }

  static std::string pci(const std::string& id) { return "/sys/bus/pci/devices/" + id; }
  static void make(const std::string& folder) { cni::os::make_directories(folder, 0755); }
  static void bind_driver(const std::string& id, const std::string& driver) {
    make("/sys/bus/pci/drivers/" + driver);
    make(pci(id));
    const std::string target = "../../drivers/" + driver;
    REQUIRE(::symlink(target.c_str(), (pci(id) + "/driver").c_str()) == 0);
  }
};

json selected(const json& selector) {
  json config = {{"type", "host-device"}};
  config.update(selector);
  return config;
}

// ADD finds nic0 by it, CHECK and STATUS agree, and DEL brings it back.
void check_selects(PluginNode& node, const json& selector) {
  const json config = selected(selector);
  INFO(config.dump());
  CHECK(node.run("STATUS", config).ok());
  const json result = node.add(config);
  CHECK(find_link_json("c1", "eth0")->at("address") == kDeviceMac);
  node.check(config, result);
  node.del(config);
  CHECK(find_link_json("", "nic0"));
}

}  // namespace

TEST_CASE("host-device finds a device by its MAC address in any notation", "[netns]") {
  const std::string mac =
      GENERATE("02:00:00:00:31:0a", "02:00:00:00:31:0A", "02-00-00-00-31-0A", "0200.0000.310a");
  HostDeviceNode node;
  (void)ip({"link", "set", "nic0", "address", "02:00:00:00:31:0a"});
  const json config = selected({{"hwaddr", mac}});
  const json result = node.add(config);
  CHECK(find_link_json("c1", "eth0")->at("address") == "02:00:00:00:31:0a");
  node.check(config, result);
  node.del(config);
  CHECK(find_link_json("", "nic0"));
}

TEST_CASE("host-device lists what there is when no interface has the MAC address", "[netns]") {
  HostDeviceNode node;
  const PluginRun run = node.run("ADD", selected({{"hwaddr", "02:00:00:00:31:99"}}));
  check_error(run, 7,
              "failed to find host device: failed to find physical interface: no interface of the "
              "host has the MAC address 02:00:00:00:31:99");
  CHECK(run.details().find("physical interface") != std::string::npos);
}

TEST_CASE("host-device finds a device by the folder of its kernel object", "[netns]") {
  NodeWithBuses node;
  NodeWithBuses::make("/sys/devices/pci0000:00/0000:00:07.0/net/nic0");
  check_selects(node, {{"kernelpath", "/sys/devices/pci0000:00/0000:00:07.0"}});
  check_error(node.run("ADD", selected({{"kernelpath", "/sys/devices/pci0000:00"}})), 7,
              "failed to find host device: failed to find physical interface: no net directory "
              "under /sys/devices/pci0000:00");
  REQUIRE(::symlink("/etc", "/sys/devices/outside") == 0);
  check_error(node.run("ADD", selected({{"kernelpath", "/sys/devices/outside"}})), 7,
              "failed to find host device: failed to find physical interface: /sys/devices/outside "
              "leads to /etc, which is not below /sys/devices");
}

TEST_CASE("host-device finds a device by its PCI address also behind virtio", "[netns]") {
  NodeWithBuses node;
  NodeWithBuses::make(NodeWithBuses::pci("0000:00:07.0") + "/net/nic0");
  NodeWithBuses::make(NodeWithBuses::pci("0000:00:08.0") + "/virtio3/net/nic0");
  NodeWithBuses::bind_driver("0000:00:07.0", "e1000e");
  check_selects(node, {{"pciBusID", "0000:00:07.0"}});
  check_selects(node, {{"pciBusID", "0000:00:08.0"}});
  check_selects(node,
                {{"pciBusID", "0000:00:01.0"}, {"runtimeConfig", {{"deviceID", "0000:00:07.0"}}}});
  // What is given explicitly comes first.
  check_selects(node, {{"device", "nic0"}, {"runtimeConfig", {{"deviceID", "0000:00:07.0"}}}});
  const PluginRun absent = node.run("ADD", selected({{"pciBusID", "0000:00:01.0"}}));
  check_error(absent, 7,
              "failed to find host device: no net directory under pci device 0000:00:01.0");
  CHECK(node.run("STATUS", selected({{"pciBusID", "0000:00:01.0"}})).code() == 50);
}

TEST_CASE("host-device finds an auxiliary device by the id that the runtime gives", "[netns]") {
  NodeWithBuses node;
  NodeWithBuses::make("/sys/bus/auxiliary/devices/mlx5_core.sf.4/net/nic0");
  check_selects(node, {{"runtimeConfig", {{"deviceID", "mlx5_core.sf.4"}}}});
  check_selects(
      node, {{"pciBusID", "0000:00:01.0"}, {"runtimeConfig", {{"deviceID", "mlx5_core.sf.4"}}}});
  const json unknown = selected({{"runtimeConfig", {{"deviceID", "mlx5_core.sf.5"}}}});
  check_error(node.run("ADD", unknown), 7,
              "runtime config DeviceID mlx5_core.sf.5 not found or unsupported");
  CHECK(node.run("STATUS", unknown).code() == 50);
  // DEL does without the device's bus.
  node.del(unknown);
}

TEST_CASE("host-device moves nothing for a device of a driver in user space", "[netns]") {
  const std::string driver = GENERATE("vfio-pci", "uio_pci_generic", "igb_uio");
  CAPTURE(driver);
  NodeWithBuses node;
  NodeWithBuses::bind_driver("0000:00:07.0", driver);
  const json expected = json::array({{{"name", "eth0"}, {"sandbox", "/run/netns/c1"}}});

  const json layer2 = selected({{"pciBusID", "0000:00:07.0"}});
  const json result = node.add(layer2);
  CHECK(result.at("interfaces") == expected);
  node.check(layer2, result);
  CHECK(node.run("STATUS", layer2).ok());
  node.del(layer2);

  const json addresses = host_device_with_addresses(
      {{"device", nullptr}, {"runtimeConfig", {{"deviceID", "0000:00:07.0"}}}});
  const json with_ips = node.add(addresses);
  CHECK(with_ips.at("interfaces") == expected);
  CHECK(with_ips.at("ips")[0].at("address") == "10.31.0.2/16");
  CHECK(with_ips.at("ips")[0].at("interface") == 0);
  node.check(addresses, with_ips);
  CHECK_FALSE(find_link_json("c1", "eth0"));
  // The container's interface of that name is another's.
  (void)ip({"-n", "c1", "link", "add", "eth0", "type", "veth", "peer", "name", "other"});
  (void)ip({"-n", "c1", "link", "set", "eth0", "alias", "nic5"});
  node.del(addresses);
  CHECK(find_link_json("c1", "eth0"));
}
