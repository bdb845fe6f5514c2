// Real packets between containers, the host and a host behind the node.
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"

using namespace cni::test;

namespace {

// A node with two containers, and a host on a network behind it that knows no way back to the
// containers.
class NodeWithOutside : public PluginNode {
 public:
  NodeWithOutside() {
    for (const char* name : {"c1", "c2", "outside"}) spaces.container(name);
    (void)ip({"link", "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns", "outside"});
    (void)ip({"link", "set", "uplink", "up"});
    (void)ip({"-n", "outside", "link", "set", "eth0", "up"});
    (void)ip({"address", "add", "192.0.2.1/24", "dev", "uplink"});
    (void)ip({"address", "add", "2001:db8::1/64", "dev", "uplink", "nodad"});
    (void)ip({"-n", "outside", "address", "add", "192.0.2.2/24", "dev", "eth0"});
    (void)ip({"-n", "outside", "address", "add", "2001:db8::2/64", "dev", "eth0", "nodad"});
  }

  std::string client_seen(const std::string& from, const std::string& to,
                          const std::string& address) {
    return tcp_client_seen(cni::ns::Netns::open("/run/netns/" + from),
                           cni::ns::Netns::open("/run/netns/" + to), address);
  }
  std::string host_as_client_seen(const std::string& to, const std::string& address) {
    return tcp_client_seen(spaces.host(), cni::ns::Netns::open("/run/netns/" + to), address);
  }
  std::string client_seen_by_host(const std::string& from, const std::string& address) {
    return tcp_client_seen(cni::ns::Netns::open("/run/netns/" + from), spaces.host(), address);
  }
};

json config_of(const std::string& type, const std::string& backend) {
  json config = {{"type", type},
                 {"ipMasq", true},
                 {"ipMasqBackend", backend},
                 {"ipam",
                  {{"type", "host-local"},
                   {"ranges", json::array({json::array({{{"subnet", "10.22.0.0/16"}}}),
                                           json::array({{{"subnet", "fd00:22::/64"}}})})},
                   {"routes", json::array({{{"dst", "0.0.0.0/0"}}, {{"dst", "::/0"}}})}}}};
  if (type == "bridge") config["isGateway"] = true;
  return config;
}

}  // namespace

TEST_CASE("containers reach each other and the host and through masquerade the outside",
          "[netns]") {
  const std::string type = GENERATE("bridge", "ptp");
  const std::string backend = GENERATE("iptables", "nftables");
  if (backend == "iptables") (void)require_program("iptables");
  CAPTURE(type, backend);
  NodeWithOutside node;
  const json config = config_of(type, backend);
  (void)node.add(config, "c1");
  (void)node.add(config, "c2");

  for (const std::string address :
       {"10.22.0.3", "fd00:22::3", "10.22.0.1", "fd00:22::1", "192.0.2.2", "2001:db8::2"}) {
    CAPTURE(address);
    CHECK(pings("c1", address));
  }
  for (const std::string address : {"10.22.0.2", "fd00:22::2"}) CHECK(pings("", address));

  CHECK(node.client_seen("c1", "c2", "10.22.0.3") == "10.22.0.2");
  CHECK(node.client_seen("c1", "c2", "fd00:22::3") == "fd00:22::2");
  CHECK(node.host_as_client_seen("c1", "10.22.0.2") == "10.22.0.1");
  CHECK(node.host_as_client_seen("c1", "fd00:22::2") == "fd00:22::1");
  CHECK(node.client_seen_by_host("c1", "10.22.0.1") == "10.22.0.2");
  CHECK(node.client_seen_by_host("c1", "fd00:22::1") == "fd00:22::2");
  CHECK(node.client_seen("c1", "outside", "192.0.2.2") == "192.0.2.1");
  CHECK(node.client_seen("c1", "outside", "2001:db8::2") == "2001:db8::1");
}

TEST_CASE("a container without masquerade is not reachable from a network without a way back",
          "[netns]") {
  NodeWithOutside node;
  json config = config_of("bridge", "nftables");
  config["ipMasq"] = false;
  (void)node.add(config, "c1");
  CHECK_FALSE(pings("c1", "192.0.2.2"));
  CHECK(pings("c1", "192.0.2.1"));
}

TEST_CASE("isolated ports reach the gateway but not each other", "[netns]") {
  NodeWithOutside node;
  json config = config_of("bridge", "nftables");
  config["portIsolation"] = true;
  (void)node.add(config, "c1");
  (void)node.add(config, "c2");
  CHECK(pings("c1", "10.22.0.1"));
  CHECK(pings("c1", "192.0.2.2"));
  CHECK_FALSE(pings("c1", "10.22.0.3"));
}

TEST_CASE("a frame with a foreign source MAC does not pass a checked port", "[netns]") {
  NodeWithOutside node;
  json config = config_of("bridge", "nftables");
  config["macspoofchk"] = true;
  (void)node.add(config, "c1");
  (void)node.add(config, "c2");
  CHECK(pings("c1", "10.22.0.3"));
  (void)ip({"-n", "c1", "link", "set", "eth0", "address", "02:00:00:00:00:66"});
  CHECK_FALSE(pings("c1", "10.22.0.3"));
}

TEST_CASE("an address that changes hands is reachable at once", "[netns]") {
  NodeWithOutside node;
  json config = config_of("bridge", "nftables");
  config["ipam"]["ranges"] = json::array({json::array(
      {{{"subnet", "10.22.0.0/16"}, {"rangeStart", "10.22.0.9"}, {"rangeEnd", "10.22.0.9"}}})});
  json other = config;
  other["ipam"] = {{"type", "static"}, {"addresses", json::array({{{"address", "10.22.0.3/16"}}})}};
  (void)node.add(other, "c2");
  for (int i = 0; i < 3; ++i) {
    (void)node.add(config, "c1");
    // Fills the neighbour tables of the host and of the other container with this MAC address.
    CHECK(pings("", "10.22.0.9"));
    CHECK(pings("c2", "10.22.0.9"));
    node.del(config, "c1");
  }
}
