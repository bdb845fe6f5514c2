// host-device with hardware, which the kernel treats otherwise than virtual links: it comes back to
// the machine's first namespace when its own ends, and has a permanent MAC address and a bus.
//
// The environment variable CNI_TEST_SPARE_DEVICE names an interface of a PCI device that these
// cases may take from the machine; a virtual machine's second network card, for instance.
#include <unistd.h>

#include <cstdlib>

#include "test/netns/plugins/main/host_device_node.hpp"
#include "test/support/catch.hpp"
#include "test/support/skip.hpp"

using namespace cni::test;

namespace {

constexpr const char* kFirst = "/proc/1/ns/net";  // the machine's namespace

std::string spare_device() {
  const char* name = std::getenv("CNI_TEST_SPARE_DEVICE");
  if (name == nullptr) skip("CNI_TEST_SPARE_DEVICE names no interface that may be taken");
  return name;
}

std::string mac_of(const std::string& netns, const std::string& link) {
  return find_link_json(netns, link).value().at("address");
}

// Waits until a link of the machine's first namespace fulfils a condition; its name.
template <class Condition>
std::string await_in_first(Condition&& condition) {
  for (int i = 0; i < 1000; ++i) {
    for (const json& link : ip_in(kFirst, {"-j", "link", "show"})) {
      if (condition(link)) return link.at("ifname");
    }
    ::usleep(5000);
  }
  FAIL("the device did not come");
  return {};
}

// A host with the device, called "hw0". Afterwards it is where it was.
class NodeWithHardware : public PluginNode {
 public:
  explicit NodeWithHardware(std::string spare) : spare_(std::move(spare)) {
    (void)spaces.container("c1");
    take_from_machine(spare_);
    mac = mac_of("", "hw0");
    path = run_ok({"realpath", "/sys/class/net/hw0/device"});
    path.pop_back();  // the newline
    // .../0000:00:09.0/virtio3 or .../0000:00:09.0
    std::string pci_path = path;
    if (pci_path.find("/virtio") != std::string::npos) pci_path.erase(pci_path.rfind('/'));
    pci = pci_path.substr(pci_path.rfind('/') + 1);
  }
  NodeWithHardware(const NodeWithHardware&) = delete;
  NodeWithHardware& operator=(const NodeWithHardware&) = delete;
  ~NodeWithHardware() {
    (void)cni::test::run({"ip", "link", "set", "hw0", "down"});
    (void)cni::test::run({"ip", "link", "set", "hw0", "address", mac});
    (void)cni::test::run({"ip", "link", "set", "hw0", "name", spare_});
    (void)cni::test::run({"ip", "link", "set", spare_, "netns", "1"});
  }

  void take_from_machine(const std::string& name) {
    (void)ip_in(kFirst, {"link", "set", name, "netns", std::to_string(::getpid())});
    (void)ip({"link", "set", name, "name", "hw0"});
  }

  std::string mac;
  std::string path;  // below /sys/devices
  std::string pci;   // "0000:00:09.0"

 private:
  std::string spare_;
};

}  // namespace

TEST_CASE("hardware is lent by every selector and comes back after it was renamed",
          "[netns][spare]") {
  NodeWithHardware node(spare_device());
  for (const json& selector :
       {json{{"device", "hw0"}}, json{{"hwaddr", node.mac}}, json{{"kernelpath", node.path}},
        json{{"pciBusID", node.pci}}, json{{"runtimeConfig", {{"deviceID", node.pci}}}}}) {
    json config = {{"type", "host-device"}};
    config.update(selector);
    INFO(config.dump());
    for (const bool tagged : {true, false}) {
      const json result = node.add(config);
      CHECK(mac_of("c1", "eth0") == node.mac);
      node.check(config, result);
      if (!tagged) HostDeviceNode::untag("eth0");
      HostDeviceNode::rename("eth0", "wan0");
      node.del(config);
      CHECK(mac_of("", "hw0") == node.mac);
    }
  }
}

TEST_CASE("hardware without its alias comes back under its name or a free one", "[netns][spare]") {
  NodeWithHardware node(spare_device());
  const json by_name = {{"type", "host-device"}, {"device", "hw0"}};
  (void)node.add(by_name);
  (void)ip({"-n", "c1", "link", "set", "eth0", "alias", ""});
  node.del(by_name);
  CHECK(mac_of("", "hw0") == node.mac);

  const json by_bus = {{"type", "host-device"}, {"pciBusID", node.pci}};
  (void)node.add(by_bus);
  HostDeviceNode::untag("eth0");
  (void)ip({"-n", "c1", "link", "set", "eth0", "alias", ""});
  check_error(node.run("DEL", by_bus), 106,
              "device eth0 of the container is back on the host as \"dev0\": its name there is not "
              "known");
  CHECK(mac_of("", "dev0") == node.mac);
  (void)ip({"link", "set", "dev0", "name", "hw0"});
}

TEST_CASE("hardware gets its permanent MAC address back if it had that", "[netns][spare]") {
  NodeWithHardware node(spare_device());
  const json config = {{"type", "host-device"}, {"device", "hw0"}};
  (void)node.add(config);
  (void)ip({"-n", "c1", "link", "set", "eth0", "address", "02:00:00:00:31:66"});
  node.del(config);
  CHECK(mac_of("", "hw0") == node.mac);

  // An address that the administrator has set on the host is none of the container's doing.
  (void)ip({"link", "set", "hw0", "address", "02:00:00:00:31:67"});
  (void)node.add(config);
  node.del(config);
  CHECK(mac_of("", "hw0") == "02:00:00:00:31:67");
  // By which the device is found too, and by its permanent one.
  for (const std::string& mac : {std::string("02:00:00:00:31:67"), node.mac}) {
    const json by_mac = {{"type", "host-device"}, {"hwaddr", mac}};
    const json result = node.add(by_mac);
    node.check(by_mac, result);
    CHECK(find_link_json("c1", "eth0"));
    HostDeviceNode::rename("eth0", "wan0");
    node.del(by_mac);
    CHECK(mac_of("", "hw0") == "02:00:00:00:31:67");
  }
}

TEST_CASE("host-device lists hardware when no interface has the MAC address", "[netns][spare]") {
  NodeWithHardware node(spare_device());
  const PluginRun run = node.run("ADD", {{"type", "host-device"}, {"hwaddr", "02:00:00:00:31:99"}});
  check_error(run, 7, "failed to find host device: ");
  CHECK(run.details().find("hw0 " + node.mac) != std::string::npos);
}

TEST_CASE("hardware that comes back with the end of its namespace gets its name from DEL or ADD",
          "[netns][spare]") {
  NodeWithHardware node(spare_device());
  const bool deleted = GENERATE(true, false);
  CAPTURE(deleted);
  const json config = {{"type", "host-device"}, {"device", "hw0"}};
  (void)node.add(config);
  node.spaces.remove_container("c1");
  const std::string name = await_in_first([&](const json& link) {
    return link.value("address", "") == node.mac && link.value("ifalias", "") == "hw0";
  });
  // The kernel has brought it to the machine's first namespace, which is not this test's host.
  (void)ip_in(kFirst, {"link", "set", name, "netns", std::to_string(::getpid())});
  if (deleted) {
    (void)ip({"link", "set", name, "up"});
    node.del(config);
    const json link = find_link_json("", "hw0").value();
    CHECK(link.at("address") == node.mac);
    CHECK_FALSE(link.contains("ifalias"));
    CHECK(has_flag(link, "UP"));
    return;
  }
  (void)node.spaces.container("c2");
  CHECK(node.run("STATUS", config).ok());
  const json result = node.add(config, "c2");
  CHECK(find_link_json("c2", "eth0")->at("ifalias") == "hw0");
  node.check(config, result, "c2");
  node.del(config, "c2");
  CHECK(mac_of("", "hw0") == node.mac);
}
