// Leases of seconds from a real server: renewed, rebound, refused and lost.
#include <chrono>
#include <csignal>
#include <thread>

#include "test/netns/plugins/ipam/dhcp_network.hpp"

using namespace cni::test;
using cni::cat;

namespace {

using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr auto kIpv4 = Kea::Family::kIpv4;
constexpr auto kIpv6 = Kea::Family::kIpv6;

bool has_default_route() {
  const json routes = ip_in("c1", {"-j", "route", "show", "default"});
  return routes.size() == 1 && routes[0].at("gateway") == "10.9.0.1";
}

std::vector<std::string> ipv4_addresses() {
  std::vector<std::string> out;
  for (const std::string& address : addresses_on("c1", "eth0")) {
    if (address.find(':') == std::string::npos) out.push_back(address);
  }
  return out;
}

// tcpdump's words for a REQUEST for more time.
std::vector<std::string> renewal(const std::string& address, const std::string& destination) {
  return {cat(without_length(address), ".68 > ", destination, ".67"),
          cat("Client-IP ", without_length(address)), "DHCP-Message", "Request"};
}

}  // namespace

TEST_CASE("dhcp renews a lease at its server", "[netns]") {
  DhcpNetwork host;
  const Kea server(kIpv4, "cni0", kea4_config({.renew = 2, .rebind = 4, .valid = 6}));
  const PacketLog packets("cni0");
  const DhcpDaemon daemon;
  const json config = DhcpNetwork::config(daemon);
  const auto expiry = Clock::now() + seconds(6);
  const json result = host.node.add(config);
  const std::string address = address_in(result);
  const auto requests = packets.await_with(renewal(address, "10.9.0.1"), 3);
  INFO(requests.front() << server.log() << daemon.log());
  for (const std::string& request : requests) {
    CHECK(request.find("Requested-IP") == std::string::npos);
    CHECK(request.find("Server-ID") == std::string::npos);
    CHECK(request.find("Client-ID") != std::string::npos);
    CHECK(request.find("ff:ff:ff:ff:ff:ff") == std::string::npos);
  }
  std::this_thread::sleep_until(expiry + seconds(1));
  CHECK(ipv4_addresses() == std::vector<std::string>{address});
  CHECK(has_default_route());
  CHECK(daemon.log().find("lost") == std::string::npos);
  CHECK(packets.with({"DHCP-Message", "Discover"}).size() <= 3);  // the first, and its repeats
  CHECK(packets.with(renewal(address, "255.255.255.255")).empty());
  host.node.check(config, result);
  host.node.del(config);
}

TEST_CASE("dhcp asks every server when its own is silent", "[netns]") {
  DhcpNetwork host;
  Kea server(kIpv4, "cni0", kea4_config({.renew = 2, .rebind = 3, .valid = 12}));
  const PacketLog packets("cni0");
  const DhcpDaemon daemon;
  const json config = DhcpNetwork::config(daemon);
  const json result = host.node.add(config);
  const std::string address = address_in(result);
  const auto expiry = Clock::now() + seconds(12);
  server.kill();
  const auto requests = packets.await_with(renewal(address, "255.255.255.255"));
  INFO(requests.front() << daemon.log());
  CHECK(requests.front().find("Requested-IP") == std::string::npos);
  CHECK(requests.front().find("Server-ID") == std::string::npos);
  CHECK(requests.front().find("ff:ff:ff:ff:ff:ff") != std::string::npos);
  server.start();
  await_text([&] { return server.log(); }, cat("lease ", without_length(address), " has been"));
  std::this_thread::sleep_until(expiry + seconds(1));
  CHECK(ipv4_addresses() == std::vector<std::string>{address});
  CHECK(daemon.log().find("lost") == std::string::npos);
  host.node.check(config, result);
  host.node.del(config);
}

TEST_CASE("dhcp takes off an address that expires and leases again", "[netns]") {
  DhcpNetwork host;
  Kea server(kIpv4, "cni0", kea4_config({.renew = 1, .rebind = 2, .valid = 4}));
  const DhcpDaemon daemon({"-timeout=500ms"});
  const json config = DhcpNetwork::config(daemon);
  const json result = host.node.add(config);
  server.kill();
  await("the address taken off", [] { return ipv4_addresses().empty(); });
  INFO(daemon.log());
  CHECK_FALSE(has_default_route());
  CHECK(find_link_json("c1", "eth0")->at("flags").dump().find("\"UP\"") != std::string::npos);
  json alone = config;
  alone["type"] = "dhcp";
  check_error(host.node.run("CHECK", alone, "c1", result), 105, "error calling DHCP.Look: ");
  server.start_anew(kea4_config({.renew = 30, .rebind = 50, .valid = 60}, kOtherRange));
  await("another address", [] { return ipv4_addresses().size() == 1; });
  CHECK(ipv4_addresses().front().starts_with("10.9.0.15"));
  await("its route", has_default_route);
  host.node.del(config);
}

TEST_CASE("dhcp takes another address when the server refuses the old one", "[netns]") {
  DhcpNetwork host;
  Kea server(kIpv4, "cni0", kea4_config({.renew = 2, .rebind = 30, .valid = 60}));
  const PacketLog packets("cni0");
  const DhcpDaemon daemon;
  const json config = DhcpNetwork::config(daemon);
  const json result = host.node.add(config);
  const std::string address = address_in(result);
  server.start_anew(kea4_config({.renew = 30, .rebind = 50, .valid = 60}), without_length(address));
  await(
      "another address",
      [&] {
        const std::vector<std::string> present = ipv4_addresses();
        return present.size() == 1 && present.front() != address;
      },
      [&] { return server.log() + daemon.log(); });
  CHECK(packets.with({"DHCP-Message", "NACK"}).size() == 1);
  await("its route", has_default_route);
  INFO(daemon.log());
  const std::string other = ipv4_addresses().front();
  json alone = config;
  alone["type"] = "dhcp";
  const PluginRun check = host.node.run("CHECK", alone, "c1", result);
  check_error(check, 105, cat("dhcp: the lease of eth0 is ", other));
  CHECK(check.msg().find(address) != std::string::npos);
  host.node.del(config);
}

TEST_CASE("dhcp declines an address that another host has", "[netns]") {
  DhcpNetwork host;
  (void)ip_in("lan", {"address", "add", "10.9.0.50/16", "dev", "lan1"});
  const Kea server(kIpv4, "cni0", kea4_config({.renew = 30, .rebind = 50, .valid = 60}));
  const DhcpDaemon daemon({"-probetime=300ms"});
  const json config = DhcpNetwork::config(daemon);
  const json result = host.node.add(config);
  INFO(server.log() << daemon.log());
  CHECK(address_in(result) != "10.9.0.50/16");
  CHECK(address_in(result).starts_with("10.9.0.5"));
  CHECK(server.log().find("DHCP4_DECLINE_LEASE Received DHCPDECLINE for addr 10.9.0.50") !=
        std::string::npos);
  host.node.check(config, result);
  host.node.del(config);
}

TEST_CASE("dhcp leases, renews and gives back IPv6 addresses", "[netns]") {
  DhcpNetwork host;
  DhcpNetwork::await_link_local();
  const Kea server(kIpv6, "cni0", kea6_config({.renew = 2, .rebind = 4, .valid = 6}));
  const PacketLog packets("cni0");
  const DhcpDaemon daemon;
  const json config = DhcpNetwork::config(daemon, {{"ipv4", false}, {"ipv6", true}});
  const auto expiry = Clock::now() + seconds(6);
  const json result = host.node.add(config);
  const std::string address = address_in(result);
  CHECK(address.starts_with("fd00:9::"));
  (void)packets.await_with({"dhcp6 renew"}, 2);
  std::this_thread::sleep_until(expiry + seconds(1));
  INFO(server.log() << daemon.log());
  CHECK(addresses_on("c1", "eth0") == std::vector<std::string>{address});
  CHECK(packets.with({"dhcp6 rebind"}).empty());
  CHECK(packets.with({"dhcp6 solicit"}).size() <= 3);
  CHECK(daemon.log().find("lost") == std::string::npos);
  host.node.check(config, result);
  host.node.del(config);
  (void)packets.await_with({"dhcp6 release"});
  await_text([&] { return server.log(); }, "DHCP6_RELEASE_NA");
  CHECK(files_in(daemon.state_folder()) == 0);
}

TEST_CASE("dhcp keeps leases of both families", "[netns]") {
  DhcpNetwork host;
  DhcpNetwork::await_link_local();
  const LeaseTimes times{.renew = 2, .rebind = 4, .valid = 6};
  const Kea server4(kIpv4, "cni0", kea4_config(times));
  const Kea server6(kIpv6, "cni0", kea6_config(times));
  const PacketLog packets("cni0");
  const DhcpDaemon daemon;
  const json config = DhcpNetwork::config(daemon, {{"ipv6", true}});
  const auto expiry = Clock::now() + seconds(6);
  const json result = host.node.add(config);
  const std::vector<std::string> both = {address_in(result, 0), address_in(result, 1)};
  std::this_thread::sleep_until(expiry + seconds(1));
  INFO(server4.log() << server6.log() << daemon.log());
  CHECK(addresses_on("c1", "eth0") == both);
  CHECK(daemon.log().find("lost") == std::string::npos);
  CHECK(packets.with(renewal(both[0], "10.9.0.1")).size() >= 2);
  CHECK(packets.with({"dhcp6 renew"}).size() >= 2);
  host.node.check(config, result);
  host.node.del(config);
  await_text([&] { return server4.log(); }, "DHCP4_RELEASE ");
  await_text([&] { return server6.log(); }, "DHCP6_RELEASE_NA");
}

TEST_CASE("dhcp takes off an IPv6 address that expires and leases again", "[netns]") {
  DhcpNetwork host;
  DhcpNetwork::await_link_local();
  Kea server(kIpv6, "cni0", kea6_config({.renew = 1, .rebind = 2, .valid = 4}));
  const DhcpDaemon daemon;
  const json config = DhcpNetwork::config(daemon, {{"ipv4", false}, {"ipv6", true}});
  (void)host.node.add(config);
  server.kill();
  await("the address taken off", [] { return addresses_on("c1", "eth0").empty(); });
  INFO(daemon.log());
  server.start();
  await("an address again", [] { return addresses_on("c1", "eth0").size() == 1; });
  host.node.del(config);
}
