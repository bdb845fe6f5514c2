// Real packets within a VLAN, between VLANs, over a trunk and to the gateway.
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"

using namespace cni::test;

namespace {

// A container of a VLAN; all share one subnet, so that nothing but the VLAN keeps them apart.
json member_of(int vlan, const std::string& address, const json& more = json::object()) {
  json config = {{"type", "bridge"},
                 {"bridge", "cni0"},
                 {"vlan", vlan},
                 {"ipam",
                  {{"type", "static"},
                   {"addresses", json::array({{{"address", "10.22.0." + address + "/24"}},
                                              {{"address", "fd00:22::" + address + "/64"}}})}}}};
  config.update(more);
  return config;
}

class VlanNode : public PluginNode {
 public:
  VlanNode() {
    for (const char* name : {"c1", "c2", "c3"}) spaces.container(name);
  }

  std::string client_seen(const std::string& from, const std::string& to,
                          const std::string& address) {
    return tcp_client_seen(cni::ns::Netns::open("/run/netns/" + from),
                           cni::ns::Netns::open("/run/netns/" + to), address);
  }
};

// What a container has learned of an address by ARP; "FAILED" if nobody answered.
std::string neighbour_state(const std::string& container, const std::string& address) {
  const json found = ip_in(container, {"-j", "neigh", "show", address});
  return found.empty() ? "" : found[0].at("state")[0].get<std::string>();
}

// An 802.1q interface inside of a container.
void add_tagged(const std::string& container, const std::string& vlan, const std::string& address) {
  const std::string name = "eth0." + vlan;
  (void)ip_in(container, {"link", "add", "link", "eth0", "name", name, "type", "vlan", "id", vlan});
  (void)ip_in(container, {"link", "set", name, "up"});
  (void)ip_in(container, {"address", "add", address, "dev", name});
}

}  // namespace

TEST_CASE("containers of a VLAN reach each other and those of another do not", "[netns]") {
  require_bridge_vlans();
  VlanNode node;
  (void)node.add(member_of(100, "2"), "c1");
  (void)node.add(member_of(100, "3"), "c2");
  (void)node.add(member_of(200, "4"), "c3");
  for (const char* address : {"10.22.0.3", "fd00:22::3"}) CHECK(pings("c1", address));
  CHECK(node.client_seen("c1", "c2", "10.22.0.3") == "10.22.0.2");
  CHECK(node.client_seen("c1", "c2", "fd00:22::3") == "fd00:22::2");

  for (const char* address : {"10.22.0.4", "fd00:22::4"}) CHECK_FALSE(pings("c1", address));
  CHECK_FALSE(pings("c3", "10.22.0.2"));
  // Not even ARP comes through.
  CHECK(neighbour_state("c1", "10.22.0.4") == "FAILED");
  CHECK(node.client_seen("c1", "c3", "10.22.0.4").empty());
  CHECK(node.client_seen("c3", "c1", "10.22.0.2").empty());
}

TEST_CASE("a container without a VLAN is apart from those with one", "[netns]") {
  require_bridge_vlans();
  VlanNode node;
  (void)node.add(member_of(100, "2"), "c1");
  (void)node.add(member_of(0, "3"), "c2");
  (void)node.add(member_of(0, "4"), "c3");
  CHECK_FALSE(pings("c1", "10.22.0.3"));
  CHECK_FALSE(pings("c2", "10.22.0.2"));
  CHECK(pings("c2", "10.22.0.4"));
}

TEST_CASE("a preserved default VLAN hears containers without a VLAN", "[netns]") {
  require_bridge_vlans();
  VlanNode node;
  (void)node.add(member_of(100, "2", {{"preserveDefaultVlan", true}}), "c1");
  (void)node.add(member_of(0, "3"), "c2");
  (void)node.add(member_of(100, "4"), "c3");
  // Their broadcasts come out of its port; its own frames belong to VLAN 100 alone.
  CHECK_FALSE(pings("c2", "10.22.0.2"));
  CHECK(ip_in("c1", {"-j", "neigh", "show", "10.22.0.3"}).size() == 1);
  CHECK(ip_in("c3", {"-j", "neigh", "show", "10.22.0.3"}).empty());
  CHECK(pings("c1", "10.22.0.4"));
}

TEST_CASE("a trunk reaches each of its VLANs by tagged frames and no other", "[netns]") {
  require_bridge_vlans();
  require_kind("vlan");
  VlanNode node;
  json trunk = member_of(0, "9", {{"vlanTrunk", {{{"minID", 100}, {"maxID", 150}}}}});
  trunk["ipam"] = json::object();
  (void)node.add(trunk, "c1");
  (void)node.add(member_of(100, "3"), "c2");
  (void)node.add(member_of(200, "4"), "c3");
  add_tagged("c1", "100", "10.22.0.2/24");
  CHECK(pings("c1", "10.22.0.3"));
  CHECK(pings("c2", "10.22.0.2"));
  CHECK(node.client_seen("c1", "c2", "10.22.0.3") == "10.22.0.2");
  (void)ip_in("c1", {"link", "del", "eth0.100"});

  // VLAN 200 is no part of the trunk.
  add_tagged("c1", "200", "10.22.0.2/24");
  CHECK_FALSE(pings("c1", "10.22.0.4"));
  CHECK_FALSE(pings("c3", "10.22.0.2"));
}

TEST_CASE("an access container cannot get into another VLAN by tagging its frames", "[netns]") {
  require_bridge_vlans();
  require_kind("vlan");
  VlanNode node;
  (void)node.add(member_of(100, "2"), "c1");
  (void)node.add(member_of(200, "4"), "c2");
  (void)ip_in("c1", {"address", "flush", "dev", "eth0"});
  add_tagged("c1", "200", "10.22.0.2/24");
  CHECK_FALSE(pings("c1", "10.22.0.4"));
}

TEST_CASE("the gateway of a VLAN answers its containers and no others", "[netns]") {
  require_bridge_vlans();
  VlanNode node;
  const json gateway = {{"isDefaultGateway", true}};
  (void)node.add(member_of(100, "2", gateway), "c1");
  (void)node.add(member_of(200, "3"), "c2");
  for (const char* address : {"10.22.0.1", "fd00:22::1"}) {
    CHECK(pings("c1", address));
    CHECK_FALSE(pings("c2", address));
  }
  for (const char* address : {"10.22.0.2", "fd00:22::2"}) CHECK(pings("", address));
  const auto host = [&] { return cni::ns::Netns::current(); };
  const auto container = cni::ns::Netns::open("/run/netns/c1");
  CHECK(tcp_client_seen(container, host(), "10.22.0.1") == "10.22.0.2");
  CHECK(tcp_client_seen(host(), container, "fd00:22::2") == "fd00:22::1");
}

TEST_CASE("the host routes between the gateways of two VLANs", "[netns]") {
  require_bridge_vlans();
  VlanNode node;
  const auto in_vlan = [](int vlan, const std::string& subnet) {
    return json{{"type", "bridge"},
                {"bridge", "cni0"},
                {"vlan", vlan},
                {"isDefaultGateway", true},
                {"ipam", {{"type", "host-local"}, {"subnet", subnet}}}};
  };
  (void)node.add(in_vlan(100, "10.23.0.0/24"), "c1");
  (void)node.add(in_vlan(200, "10.24.0.0/24"), "c2");
  CHECK(pings("c1", "10.24.0.2"));
  CHECK(node.client_seen("c1", "c2", "10.24.0.2") == "10.23.0.2");
}
