// Packets through ipvlans, which all have the MAC address of their master.
#include <string>

#include "test/netns/plugins/main/master_node.hpp"
#include "test/support/frame_capture.hpp"
#include "test/support/snapshot.hpp"

using namespace cni;
using namespace cni::test;

namespace {

// A node with 192.0.2.2 on a wire, and another host with 192.0.2.1 on it ("wire"), which finds the
// containers behind the node.
class WiredNode : public MasterNode {
 public:
  WiredNode() : MasterNode("ipvlan") {
    (void)ip({"address", "add", "192.0.2.2/24", "dev", "master0"});
    (void)ip({"-n", "wire", "address", "add", "192.0.2.1/24", "dev", "far"});
  }
};

json ipvlan(const std::string& mode, const json& ipam) {
  return {{"type", "ipvlan"}, {"master", "master0"}, {"mode", mode}, {"ipam", ipam}};
}

json host_local(const std::string& subnet) { return {{"type", "host-local"}, {"subnet", subnet}}; }

json static_address(const std::string& address) {
  return {{"type", "static"}, {"addresses", json::array({{{"address", address}}})}};
}

std::string client_seen(const std::string& client, const std::string& server,
                        const std::string& address) {
  return tcp_client_seen(ns::Netns::open("/run/netns/" + client),
                         ns::Netns::open("/run/netns/" + server), address);
}

}  // namespace

TEST_CASE("ipvlan in mode l2 reaches its wire and the others on its master",
          "[netns][kind:ipvlan]") {
  WiredNode node;
  (void)ip({"-n", "wire", "address", "add", "10.24.9.9/16", "dev", "far"});
  const json config = ipvlan("l2", host_local("10.24.0.0/16"));
  (void)node.add(config, "c1");
  (void)node.add(config, "c2");
  CHECK(pings("c1", "10.24.9.9"));
  CHECK(pings("wire", "10.24.0.3"));
  CHECK(pings("c1", "10.24.0.3"));
  CHECK(client_seen("c1", "wire", "10.24.9.9") == "10.24.0.2");
  CHECK(client_seen("c1", "c2", "10.24.0.3") == "10.24.0.2");
}

TEST_CASE("ipvlan in modes l3 and l3s is routed by the host", "[netns][kind:ipvlan]") {
  const std::string mode = GENERATE("l3", "l3s");
  CAPTURE(mode);
  WiredNode node;
  (void)ip({"-n", "wire", "route", "add", "10.24.0.0/16", "via", "192.0.2.2"});
  (void)ip(
      {"-n", "wire", "route", "add", "fd00:24::/64", "via", "fd00:2::2", "onlink", "dev", "far"});
  (void)ip({"-n", "wire", "address", "add", "fd00:2::1/64", "dev", "far", "nodad"});
  (void)ip({"address", "add", "fd00:2::2/64", "dev", "master0", "nodad"});
  json ipam = {{"type", "host-local"},
               {"ranges", json::array({json::array({{{"subnet", "10.24.0.0/16"}}}),
                                       json::array({{{"subnet", "fd00:24::/64"}}})})},
               {"routes", json::array({{{"dst", "0.0.0.0/0"}}, {{"dst", "::/0"}}})}};
  const json config = ipvlan(mode, ipam);
  const json result = node.add(config, "c1");
  (void)node.add(config, "c2");
  node.check(config, result, "c1");
  CHECK(pings("c1", "192.0.2.1"));
  CHECK(pings("wire", "10.24.0.2"));
  CHECK(pings("c1", "10.24.0.3"));
  CHECK(pings("c1", "fd00:2::1"));
  CHECK(pings("c1", "fd00:24::3"));
  CHECK(client_seen("c1", "wire", "192.0.2.1") == "10.24.0.2");
  CHECK(client_seen("wire", "c1", "10.24.0.2") == "192.0.2.1");
}

TEST_CASE("ipvlan in mode l2 announces its addresses on the wire", "[netns][kind:ipvlan]") {
  WiredNode node;
  {
    const os::Fd capture = open_capture("wire");
    (void)node.add(ipvlan("l2", static_address("10.24.0.5/16")));
    // ARP, whose target is its own sender, 10.24.0.5.
    CHECK(captures(capture, 38, {10, 24, 0, 5}));
  }
  node.del(ipvlan("l2", static_address("10.24.0.5/16")));
  const os::Fd capture = open_capture("wire");
  (void)node.add(ipvlan("l2", static_address("fd00:24::5/64")));
  // ICMPv6 neighbour advertisement: override without solicited, target fd00:24::5.
  CHECK(
      captures(capture, 58, {0x20, 0, 0, 0, 0xfd, 0, 0, 0x24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5}));
}

TEST_CASE("ipvlan in mode l2 reports an IPv6 address of another host and leaves nothing",
          "[netns][kind:ipvlan]") {
  WiredNode node;
  (void)ip({"-n", "wire", "address", "add", "fd00:24::2/64", "dev", "far", "nodad"});
  const Snapshot before = take({"c1"});
  check_error(node.run("ADD", ipvlan("l2", host_local("fd00:24::/64"))), 106,
              "address fd00:24::2 is in use by another host");
  CHECK(diff(without_shared(before), without_shared(take({"c1"}))) == "");
}

TEST_CASE("ipvlan reports an address of another ipvlan and leaves nothing",
          "[netns][kind:ipvlan]") {
  const std::string mode = GENERATE("l2", "l3", "l3s");
  const std::string address = GENERATE("10.24.0.5/16", "fd00:24::5/64");
  CAPTURE(mode, address);
  WiredNode node;
  const json config = ipvlan(mode, static_address(address));
  (void)node.add(config, "c1");
  const Snapshot before = take({"c2"});
  const PluginRun run = node.run("ADD", config, "c2");
  INFO(run.describe());
  CHECK(run.code() == 106);
  CHECK(run.msg().find("failed to add IP addr: add address " + address) == 0);
  CHECK(run.details().find("already assigned to an ipvlan device") != std::string::npos);
  CHECK(diff(without_shared(before), without_shared(take({"c2"}))) == "");
}

TEST_CASE("ipvlan waits until its IPv6 address can be used", "[netns][kind:ipvlan]") {
  const std::string mode = GENERATE("l2", "l3", "l3s");
  CAPTURE(mode);
  WiredNode node;
  (void)node.add(ipvlan(mode, host_local("fd00:24::/64")), "c1");
  (void)node.add(ipvlan(mode, host_local("fd00:24::/64")), "c2");
  for (const char* container : {"c1", "c2"}) {
    const json addresses =
        ip({"-n", container, "-j", "-6", "address", "show", "dev", "eth0", "scope", "global"});
    REQUIRE(addresses.size() == 1);
    CHECK_FALSE(addresses[0].at("addr_info")[0].contains("tentative"));
    CHECK_FALSE(addresses[0].at("addr_info")[0].contains("dadfailed"));
  }
  CHECK(pings("c1", "fd00:24::3"));
}
