// A node with a link that others can stand on, and what holds for every plugin whose interface does
// (macvlan, ipvlan, vlan).
#pragma once

#include <string_view>

#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"

namespace cni::test {

// The link is "master0"; its other end is "far" in the namespace "wire".
class MasterNode : public PluginNode {
 public:
  explicit MasterNode(std::string_view kind) {
    require_kind(kind);
    for (const char* name : {"c1", "c2", "wire"}) spaces.container(name);
    (void)ip({"link", "add", "master0", "type", "veth", "peer", "name", "far", "netns", "wire"});
    (void)ip({"link", "set", "master0", "up"});
    (void)ip({"-n", "wire", "link", "set", "far", "up"});
  }
};

// With linkInContainer the master is looked for in the container, and only there.
inline void check_master_in_container(MasterNode& node, json config) {
  (void)ip({"-n", "c1", "link", "add", "inner0", "type", "veth", "peer", "name", "inner1"});
  (void)ip({"-n", "c1", "link", "set", "inner0", "up"});
  config["master"] = "inner0";
  config["linkInContainer"] = true;
  const json result = node.add(config);
  CHECK(find_link_json("c1", "eth0")->at("link") == "inner0");
  node.check(config, result);
  CHECK(node.run("STATUS", config).ok());
  config["linkInContainer"] = false;
  check_error(node.run("ADD", config, "c2"), 7,
              "failed to lookup master \"inner0\": no such device");
  check_error(node.run("STATUS", config), 50, "failed to lookup master \"inner0\"");
}

inline void check_mtu_of_master(MasterNode& node, json config) {
  CHECK(node.run("STATUS", config).ok());
  config["mtu"] = 9000;
  check_error(node.run("ADD", config), 7, "invalid MTU 9000, must be [0, master MTU(1500)]");
  check_error(node.run("STATUS", config), 50, "invalid MTU 9000");
}

// CNI_IFNAME is the container's business: the host may have an interface of that name.
inline void check_same_name_on_host(MasterNode& node, const json& config) {
  (void)ip({"link", "add", "eth0", "type", "veth", "peer", "name", "other"});
  const json result = node.add(config);
  CHECK(find_link_json("", "eth0"));
  node.check(config, result);
  node.del(config);
  CHECK(find_link_json("", "eth0"));
  CHECK_FALSE(find_link_json("c1", "eth0"));
}

}  // namespace cni::test
