// host-device with devices that the kernel treats as hardware, which it has only as modules.
#include <unistd.h>

#include <fstream>

#include "pkg/os/file.hpp"
#include "test/netns/plugins/main/host_device_node.hpp"
#include "test/support/catch.hpp"
#include "test/support/skip.hpp"

using namespace cni::test;

namespace {

constexpr const char* kBus = "/sys/bus/netdevsim/";
constexpr const char* kId = "netdevsim31";

bool write(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good();
}

void require_simulator() {
  if (::access("/sys/bus/netdevsim/new_device", W_OK) != 0) {
    skip("the kernel has no netdevsim (CONFIG_NETDEVSIM)");
  }
}

// A device with a bus of its own and without a link type, as hardware is.
class NodeWithHardware : public PluginNode {
 public:
  NodeWithHardware() {
    (void)spaces.container("c1");
    (void)spaces.container("c2");
    REQUIRE(write(std::string(kBus) + "new_device", "31 1"));
    const auto names = cni::os::list_directory(std::string(kBus) + "devices/" + kId + "/net");
    REQUIRE(names.size() == 1);
    (void)ip({"link", "set", names[0], "down"});
    (void)ip({"link", "set", names[0], "name", "hw0"});
  }
  NodeWithHardware(const NodeWithHardware&) = delete;
  NodeWithHardware& operator=(const NodeWithHardware&) = delete;
  ~NodeWithHardware() { (void)write(std::string(kBus) + "del_device", "31"); }
};

std::string mac_of(const std::string& netns, const std::string& link) {
  return find_link_json(netns, link).value().at("address");
}

}  // namespace

TEST_CASE("host-device lends simulated hardware and gets it back", "[netns][kind:netdevsim]") {
  require_simulator();
  NodeWithHardware node;
  const std::string mac = mac_of("", "hw0");
  const json config = host_device_with_addresses({{"device", "hw0"}});
  const json result = node.add(config);
  CHECK(mac_of("c1", "eth0") == mac);
  node.check(config, result);
  HostDeviceNode::rename("eth0", "wan0");
  node.del(config);
  CHECK(mac_of("", "hw0") == mac);
}

TEST_CASE("host-device finds simulated hardware by its kernel path and by its bus after renaming",
          "[netns][kind:netdevsim]") {
  require_simulator();
  NodeWithHardware node;
  const std::string mac = mac_of("", "hw0");
  const json config = {{"type", "host-device"}, {"kernelpath", std::string("/sys/devices/") + kId}};
  const json result = node.add(config);
  CHECK(mac_of("c1", "eth0") == mac);
  node.check(config, result);
  HostDeviceNode::untag("eth0");
  HostDeviceNode::rename("eth0", "wan0");
  (void)ip({"-n", "c1", "link", "set", "wan0", "address", "02:00:00:00:31:55"});
  node.del(config);
  CHECK(find_link_json("", "hw0"));
}

TEST_CASE("host-device lists the physical interfaces when none has the MAC address",
          "[netns][kind:netdevsim]") {
  require_simulator();
  NodeWithHardware node;
  const PluginRun run = node.run("ADD", {{"type", "host-device"}, {"hwaddr", "02:00:00:00:31:99"}});
  check_error(run, 7, "failed to find host device: ");
  CHECK(run.details().find("hw0 " + mac_of("", "hw0")) != std::string::npos);
}

// A namespace that ends gives its hardware back to the machine's first namespace, where a test must
// not act; what it looks like there is made here.
TEST_CASE("DEL gives hardware its name again that came back with the end of its namespace",
          "[netns][kind:netdevsim]") {
  require_simulator();
  const std::string state = GENERATE("up", "down");
  CAPTURE(state);
  NodeWithHardware node;
  (void)ip({"link", "set", "hw0", "name", "eth0"});
  (void)ip({"link", "set", "eth0", "alias", "hw0"});
  (void)ip({"link", "set", "eth0", state});
  node.del(host_device({{"device", "hw0"}}), "gone");
  const auto link = find_link_json("", "hw0");
  REQUIRE(link);
  CHECK_FALSE(link->contains("ifalias"));
  CHECK(has_flag(*link, "UP") == (state == "up"));
}

TEST_CASE("ADD takes hardware that came back under another name and DEL restores the name",
          "[netns][kind:netdevsim]") {
  require_simulator();
  NodeWithHardware node;
  (void)ip({"link", "set", "hw0", "name", "dev7"});
  (void)ip({"link", "set", "dev7", "alias", "hw0"});
  const json config = host_device({{"device", "hw0"}});
  CHECK(node.run("STATUS", config).ok());
  const json result = node.add(config);
  CHECK(find_link_json("c1", "eth0")->at("ifalias") == "hw0");
  node.check(config, result);
  node.del(config);
  CHECK(find_link_json("", "hw0"));
}

TEST_CASE("host-device lends a device that cannot carry IPv4", "[netns][kind:vcan]") {
  require_kind("vcan");
  PluginNode node;
  (void)node.spaces.container("c1");
  (void)ip({"link", "add", "can0", "type", "vcan"});
  const json config = host_device({{"device", "can0"}});
  const json result = node.add(config);
  CHECK(find_link_json("c1", "eth0")->at("ifalias") == "can0");
  node.check(config, result);
  node.del(config);
  CHECK(find_link_json("", "can0"));
}
