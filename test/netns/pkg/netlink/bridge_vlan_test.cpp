#include "pkg/netlink/bridge_vlan.hpp"

#include "pkg/netlink/new_link.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/netns_fixture.hpp"
#include "test/support/skip.hpp"

using namespace cni;
using namespace cni::netlink;
using namespace cni::test;

namespace {

constexpr VlanRange tagged(std::uint16_t first, std::uint16_t last) {
  return {.first = first, .last = last};
}
constexpr VlanRange access(std::uint16_t vlan) {
  return {.first = vlan, .last = vlan, .pvid = true, .untagged = true};
}

void make_bridge(const std::string& name, const std::vector<std::string>& ports) {
  (void)ip({"link", "add", name, "type", "bridge", "vlan_filtering", "1"});
  for (const std::string& port : ports) {
    (void)ip({"link", "add", port, "type", "veth", "peer", "name", port + "peer"});
    (void)ip({"link", "set", port, "master", name});
  }
}

}  // namespace

TEST_CASE("merged VLANs are in order and joined where they are carried alike") {
  CHECK(merge({tagged(20, 30), tagged(5, 5), tagged(6, 9), tagged(25, 40)}) ==
        std::vector{tagged(5, 9), tagged(20, 40)});
  CHECK(merge({tagged(3, 3), access(2), tagged(1, 1)}) ==
        std::vector{tagged(1, 1), access(2), tagged(3, 3)});
  CHECK(merge({{.first = 1, .last = 1, .untagged = true}, tagged(2, 2)}).size() == 2);
  CHECK(merge({}).empty());
}

TEST_CASE("VLANs are written as the bridge program has them") {
  CHECK(to_string(std::vector{access(1), tagged(5, 9), tagged(11, 11)}) ==
        "1 (PVID, untagged), 5-9, 11");
  CHECK(to_string(std::vector<VlanRange>{}) == "none");
}

TEST_CASE("the probe for VLANs agrees with the bridge program and makes nothing", "[netns]") {
  require_kind("bridge");
  Namespaces spaces;
  Socket socket = Socket::open();
  CHECK(kernel_has_bridge_vlans(socket) == has_bridge_vlans());
  CHECK(ip({"-j", "link", "show"}).size() == 1);
}

TEST_CASE("a bridge says whether it filters VLANs and which is the default", "[netns]") {
  require_bridge_vlans();
  Namespaces spaces;
  Socket socket = Socket::open();
  (void)ip({"link", "add", "br0", "type", "bridge", "vlan_default_pvid", "7"});
  CHECK(get_link(socket, "br0").vlan_filtering == false);
  CHECK(get_link(socket, "br0").default_pvid == 7);
  REQUIRE(ensure_bridge(socket, {.name = "br1", .vlan_filtering = true}));
  CHECK(get_link(socket, "br1").vlan_filtering == true);
  CHECK(find_link_json("", "br1")->at("linkinfo").at("info_data").at("vlan_filtering") == 1);
}

TEST_CASE("VLANs of a port are added and listed and removed", "[netns]") {
  require_bridge_vlans();
  Namespaces spaces;
  make_bridge("br0", {"port0", "port1"});
  Socket socket = Socket::open();
  const Link port = get_link(socket, "port0");
  CHECK(list_port_vlans(socket, port) == std::vector{access(1)});

  remove_port_vlans(socket, port);
  CHECK(vlans_shown("port0").empty());
  CHECK(list_port_vlans(socket, port).empty());
  remove_port_vlans(socket, port);

  const std::vector<VlanRange> wanted = {access(2), tagged(10, 10), tagged(100, 4094)};
  add_port_vlans(socket, port, wanted);
  CHECK(vlans_shown("port0") == "2 PVID Egress Untagged; 10; 100-4094");
  CHECK(list_port_vlans(socket, port) == wanted);
  add_port_vlans(socket, port, std::vector{access(10)});
  CHECK(vlans_shown("port0") == "2 Egress Untagged; 10 PVID Egress Untagged; 100-4094");

  remove_port_vlans(socket, port);
  CHECK(vlans_shown("port0").empty());
  CHECK(vlans_shown("port1") == "1 PVID Egress Untagged");
}

TEST_CASE("every second VLAN of a port fits one message", "[netns]") {
  require_bridge_vlans();
  Namespaces spaces;
  make_bridge("br0", {"port0"});
  Socket socket = Socket::open();
  const Link port = get_link(socket, "port0");
  remove_port_vlans(socket, port);
  std::vector<VlanRange> wanted;
  for (std::uint16_t vlan = 1; vlan <= kMaxVlan; vlan += 2) wanted.push_back(tagged(vlan, vlan));
  add_port_vlans(socket, port, wanted);
  CHECK(list_port_vlans(socket, port) == wanted);
  CHECK(list_bridge_ports(socket, get_link(socket, "br0").index).front().vlans == wanted);
  CHECK(bridge({"-j", "vlan", "show", "dev", "port0"})[0].at("vlans").size() == wanted.size());
}

TEST_CASE("the ports of one bridge are listed with their VLANs", "[netns]") {
  require_bridge_vlans();
  Namespaces spaces;
  make_bridge("br0", {"port0", "port1"});
  make_bridge("br1", {"port2"});
  Socket socket = Socket::open();
  run_ok({"bridge", "vlan", "add", "dev", "port1", "vid", "20-22"});
  run_ok({"bridge", "vlan", "add", "dev", "br0", "vid", "30", "self"});
  std::vector<BridgePort> ports = list_bridge_ports(socket, get_link(socket, "br0").index);
  REQUIRE(ports.size() == 2);
  CHECK(ports[0].name == "port0");
  CHECK(ports[0].index == get_link(socket, "port0").index);
  CHECK(ports[0].vlans == std::vector{access(1)});
  CHECK(ports[1].vlans == std::vector{access(1), tagged(20, 22)});
}

TEST_CASE("a link that is no bridge port has no VLANs", "[netns]") {
  Namespaces spaces;
  Socket socket = Socket::open();
  CHECK(list_port_vlans(socket, get_link(socket, "lo")).empty());
  CHECK(list_port_vlans(socket, {.index = LinkIndex{9999}, .name = "gone"}).empty());
}

TEST_CASE("a kernel without VLAN filtering says so when a VLAN is added", "[netns]") {
  require_kind("bridge");
  if (has_bridge_vlans()) skip("this kernel has bridge VLAN filtering");
  Namespaces spaces;
  (void)ip({"link", "add", "br0", "type", "bridge"});
  (void)ip({"link", "add", "port0", "type", "veth", "peer", "name", "port1"});
  (void)ip({"link", "set", "port0", "master", "br0"});
  Socket socket = Socket::open();
  try {
    add_port_vlans(socket, get_link(socket, "port0"), std::vector{access(5)});
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code == Code::kMissingKernelFeature);
    CHECK(error.msg.find("CONFIG_BRIDGE_VLAN_FILTERING") != std::string::npos);
  }
}
