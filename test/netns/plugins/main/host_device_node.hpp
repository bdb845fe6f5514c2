// A node with a device that can be lent to containers, for the tests of host-device.
#pragma once

#include <string>

#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"

namespace cni::test {

inline constexpr const char* kDeviceMac = "02:00:00:00:31:01";

// The device "nic0" stands in for hardware; the other end of its wire is "far" in the namespace
// "wire".
class HostDeviceNode : public PluginNode {
 public:
  HostDeviceNode() {
    (void)spaces.container("c1");
    (void)spaces.container("wire");
    add_device("nic0", kDeviceMac, "far");
    (void)ip({"-n", "wire", "address", "add", "10.31.9.9/16", "dev", "far"});
    (void)ip({"-n", "wire", "address", "add", "fd00:31::99/64", "dev", "far", "nodad"});
  }

  static void add_device(const std::string& name, const std::string& mac, const std::string& far) {
    (void)ip({"link", "add", name, "address", mac, "type", "veth", "peer", "name", far, "netns",
              "wire"});
    (void)ip({"-n", "wire", "link", "set", far, "up"});
  }

  // As if another program than ours had lent the device: without the tag.
  static void untag(const std::string& link) {
    (void)run_ok_in("c1", {"sh", "-c", "echo 0 >/proc/sys/net/ipv4/conf/" + link + "/tag"});
  }
  static void rename(const std::string& from, const std::string& to) {
    (void)ip({"-n", "c1", "link", "set", from, "down"});
    (void)ip({"-n", "c1", "link", "set", from, "name", to});
    (void)ip({"-n", "c1", "link", "set", to, "up"});
  }
};

inline json host_device(const json& more = json::object()) {
  json config = {{"type", "host-device"}, {"device", "nic0"}};
  config.update(more);
  return config;
}

inline json host_device_with_addresses(const json& more = json::object()) {
  json config =
      host_device({{"ipam",
                    {{"type", "host-local"},
                     {"ranges", json::array({json::array({{{"subnet", "10.31.0.0/16"}}}),
                                             json::array({{{"subnet", "fd00:31::/64"}}})})}}}});
  config.update(more);
  return config;
}

inline bool has_flag(const json& link, const char* flag) {
  for (const json& each : link.at("flags")) {
    if (each == flag) return true;
  }
  return false;
}

}  // namespace cni::test
