// What containers are told and may tell: announcements of new addresses, and router advertisements
// that the host has to ignore.
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <thread>

#include "pkg/os/fd.hpp"
#include "test/support/catch.hpp"
#include "test/support/frame_capture.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"

using namespace cni;
using namespace cni::test;

namespace {

json bridge_config() {
  return {{"type", "bridge"},
          {"bridge", "cni0"},
          {"isGateway", true},
          {"ipam",
           {{"type", "host-local"},
            {"ranges", json::array({json::array({{{"subnet", "10.22.0.0/16"}}}),
                                    json::array({{{"subnet", "fd00:22::/64"}}})})}}}};
}

// A router advertisement that offers a default route and the prefix 2001:db8:66::/64, sent from the
// container to all nodes.
void send_router_advertisement(const std::string& container) {
  ns::Netns::open("/run/netns/" + container).run([] {
    const os::Fd fd(::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6));
    REQUIRE(fd);
    const int hops = 255;
    REQUIRE(::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops) == 0);
    Bytes packet = {ND_ROUTER_ADVERT, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0};
    const Bytes prefix = {3,    4,    64,   0xc0, 0, 1,    0, 0, 0, 1, 0, 0, 0, 0, 0, 0,
                          0x20, 0x01, 0x0d, 0xb8, 0, 0x66, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    packet.insert(packet.end(), prefix.begin(), prefix.end());
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_addr.s6_addr[0] = 0xff;
    to.sin6_addr.s6_addr[1] = 0x02;
    to.sin6_addr.s6_addr[15] = 1;
    to.sin6_scope_id = 2;  // the interface's index: the namespace has but lo and eth0
    // The link-local source address may still be under detection.
    for (int i = 0; i < 50; ++i) {
      const ssize_t sent = ::sendto(fd.get(), packet.data(), packet.size(), 0,
                                    reinterpret_cast<const sockaddr*>(&to), sizeof to);
      if (sent > 0) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    FAIL("the advertisement could not be sent");
  });
}

bool host_believes_the_advertisement() {
  for (int i = 0; i < 10; ++i) {
    const std::string routes = run_ok({"ip", "-6", "route", "show"});
    const std::string addresses = run_ok({"ip", "-6", "address", "show"});
    if (routes.find("proto ra") != std::string::npos ||
        addresses.find("2001:db8:66:") != std::string::npos) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return false;
}

}  // namespace

TEST_CASE("a new container's addresses are announced to its neighbours", "[netns]") {
  PluginNode node;
  node.spaces.container("c1");
  node.spaces.container("c2");
  (void)node.add(bridge_config(), "c1");
  {
    const os::Fd capture = open_capture("c1");
    (void)node.add(bridge_config(), "c2");
    // ARP request, sender 10.22.0.3 (the address of the second container) ... target 10.22.0.3.
    CHECK(captures(capture, 38, {10, 22, 0, 3}));
  }
  node.del(bridge_config(), "c2");
  const os::Fd capture = open_capture("c1");
  (void)node.add(bridge_config(), "c2");
  // ICMPv6 type 136, override flag without solicited flag, target fd00:22::4.
  CHECK(
      captures(capture, 58, {0x20, 0, 0, 0, 0xfd, 0, 0, 0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4}));
}

TEST_CASE("router advertisements from a container change nothing on the host", "[netns]") {
  const std::string type = GENERATE("bridge", "bridge that was there before", "ptp");
  CAPTURE(type);
  PluginNode node;
  node.spaces.container("c1");
  if (type == "bridge that was there before") (void)ip({"link", "add", "cni0", "type", "bridge"});
  json config = {{"type", type == "ptp" ? "ptp" : "bridge"},
                 {"ipam", {{"type", "host-local"}, {"subnet", "10.22.0.0/16"}}}};
  const json result = node.add(config);
  const std::string receiver = result.at("interfaces")[0].at("name");
  CHECK(sysctl("", "net/ipv6/conf/" + receiver + "/accept_ra") == "0");

  send_router_advertisement("c1");
  CHECK_FALSE(host_believes_the_advertisement());

  // The same advertisement does reach the host and would be believed.
  run_ok({"sysctl", "-q", "-w", "net/ipv6/conf/" + receiver + "/accept_ra=2"});
  send_router_advertisement("c1");
  CHECK(host_believes_the_advertisement());
}
