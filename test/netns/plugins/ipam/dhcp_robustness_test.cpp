// Leases on other kinds of links, daemons that are killed, and many leases at once.
#include <chrono>
#include <csignal>
#include <set>
#include <thread>

#include "plugins/ipam/dhcp/client.hpp"
#include "test/netns/plugins/ipam/dhcp_network.hpp"
#include "test/support/at_once.hpp"

using namespace cni::test;
using cni::cat;

namespace {

using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr auto kIpv4 = Kea::Family::kIpv4;
constexpr LeaseTimes kLong{.renew = 300, .rebind = 500, .valid = 600};

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
constexpr int kNamespaces = 4;  // a process takes many times the memory
#else
constexpr bool kSanitized = false;
constexpr int kNamespaces = 20;
#endif
constexpr int kLinksInEach = 25;

// bridge's ADD in a process of its own, which is waited for at most twenty seconds.
class AddUnderWay {
 public:
  explicit AddUnderWay(json config) {
    config.update({{"cniVersion", "1.1.0"}, {"name", "testnet"}});
    write_file(folder_ / "config", config.dump());
    program_ = std::make_unique<BackgroundProgram>(
        std::vector<std::string>{require_program("timeout"), "20", require_program("env"),
                                 "CNI_COMMAND=ADD", "CNI_CONTAINERID=c1", "CNI_NETNS=/run/netns/c1",
                                 "CNI_IFNAME=eth0", "CNI_PATH=" CNI_TEST_BIN_DIR,
                                 require_program("sh"), "-c", R"(exec "$0" <"$1")",
                                 executable("bridge"), folder_ / "config"},
        folder_ / "output");
  }
  // What it wrote.
  std::string result() {
    program_->end(0);
    return program_->output();
  }

 private:
  TemporaryFolder folder_;
  std::unique_ptr<BackgroundProgram> program_;
};

// An ADD and DEL of a plugin whose interface stands on master0; with an ACK that has these words.
void check_on_master(PluginNode& node, const json& more, const std::string& server_link,
                     const std::function<std::string()>& server_log, const char* release,
                     const std::string& ack) {
  const PacketLog packets(server_link);
  const DhcpDaemon daemon({"-resendtimeout=20s"});
  json config = {{"master", "master0"}, {"ipam", DhcpNetwork::ipam(daemon)}};
  config.update(more);
  const json result = node.add(config);
  const std::string address = address_in(result);
  INFO(server_log() << daemon.log());
  CHECK(addresses_on("c1", "eth0") == std::vector<std::string>{address});
  (void)packets.await_with({"DHCP-Message", "ACK", ack});
  CHECK(daemon.log().find("lost") == std::string::npos);
  node.check(config, result);
  node.del(config);
  await_text(server_log, release);
}

void check_with_kea(PluginNode& node, const json& more, const std::string& server_link) {
  const Kea server(kIpv4, server_link, kea4_config({.renew = 2, .rebind = 4, .valid = 6}));
  const auto log = [&] { return server.log(); };
  // What answers a renewal has the address that it came from.
  check_on_master(node, more, server_link, log, "DHCP4_RELEASE ", "Client-IP 10.9.0.50");
}

// master0 with its other end on the same host, as the server's own link.
void make_master() {
  (void)ip({"link", "add", "master0", "type", "veth", "peer", "name", "master1"});
  for (const char* link : {"master0", "master1"}) (void)ip({"link", "set", link, "up"});
  // Both ends are here, and each would answer for the other's address.
  write_file("/proc/sys/net/ipv4/conf/master0/arp_ignore", "1");
  (void)ip({"address", "add", "10.9.0.1/16", "dev", "master1"});
}

std::string interface_of(int number) { return cat("e", number % kLinksInEach); }
std::string netns_of(int number) { return cat("n", number / kLinksInEach); }

void make_many_links(Namespaces& spaces) {
  std::string commands;
  for (int number = 0; number < kNamespaces * kLinksInEach; ++number) {
    if (number % kLinksInEach == 0) spaces.container(netns_of(number));
    commands +=
        cat("link add v", number, " type veth peer name ", interface_of(number), " netns ",
            netns_of(number), "\nlink set v", number, " master cni0\nlink set v", number, " up\n");
  }
  write_file(spaces.folder() + "/links", commands);
  (void)ip({"-batch", spaces.folder() + "/links"});
}

// ADD of the number's interface by the executable. What is wrong is thrown; the address is written
// to a file.
void add_one(const json& config, const std::string& folder, int number) {
  Call add;
  add.command = "ADD";
  add.container_id = cat("c", number);
  add.netns = "/run/netns/" + netns_of(number);
  add.ifname = interface_of(number);
  add.input = config.dump();
  const PluginRun run = call("dhcp", add);
  if (!run.ok()) throw std::runtime_error(run.describe());
  write_file(cat(folder, "/", number), address_in(run.document));
}

long resident_kilobytes(pid_t pid) {
  const std::string status = file_text(cat("/proc/", pid, "/status"));
  return std::stol(status.substr(status.find("VmRSS:") + 6));
}

cni::dhcp::Call look_at(int number) {
  cni::dhcp::Call look;
  look.verb = cni::dhcp::Verb::kLook;
  look.lease.key = {cat("c", number), "testnet", interface_of(number)};
  return look;
}

}  // namespace

TEST_CASE("dhcp leases on a macvlan", "[netns][kind:macvlan]") {
  require_kind("macvlan");
  PluginNode node;
  node.spaces.container("c1");
  make_master();
  check_with_kea(node, {{"type", "macvlan"}}, "master1");
}

TEST_CASE("dhcp leases on an ipvlan that shares its master's address", "[netns][kind:ipvlan]") {
  require_kind("ipvlan");
  PluginNode node;
  node.spaces.container("c1");
  make_master();
  // What Kea is asked to broadcast it sends to the master's own Ethernet address, and with that
  // ipvlan finds nobody who has 255.255.255.255.
  const Dnsmasq server("master1", {"--dhcp-range=10.9.0.50,10.9.0.60,255.255.0.0,2m"});
  const auto log = [&] { return server.log(); };
  check_on_master(node, {{"type", "ipvlan"}, {"mode", "l2"}}, "master1", log, "DHCPRELEASE(",
                  "255.255.255.255.68");
}

TEST_CASE("dhcp leases on a VLAN", "[netns][kind:vlan]") {
  require_kind("vlan");
  PluginNode node;
  node.spaces.container("c1");
  make_master();
  (void)ip({"link", "add", "link", "master1", "name", "tagged", "type", "vlan", "id", "5"});
  (void)ip({"link", "set", "tagged", "up"});
  (void)ip({"address", "flush", "dev", "master1"});
  (void)ip({"address", "add", "10.9.0.1/16", "dev", "tagged"});
  check_with_kea(node, {{"type", "vlan"}, {"vlanId", 5}}, "tagged");
}

TEST_CASE("dhcp ADD fails and leaves nothing when the daemon is killed meanwhile", "[netns]") {
  DhcpNetwork host;
  const PacketLog packets("cni0");
  DhcpDaemon daemon;
  AddUnderWay add(DhcpNetwork::config(daemon));
  (void)packets.await_with({"DHCP-Message", "Discover"});
  daemon.restart(SIGKILL);
  const std::string result = add.result();
  INFO(result);
  CHECK(result.find("error calling DHCP.Allocate: ") != std::string::npos);
  CHECK_FALSE(find_link_json("c1", "eth0").has_value());
  CHECK(files_in(daemon.state_folder()) == 0);
  CHECK(daemon.log().find("goes on") == std::string::npos);
  host.node.del(DhcpNetwork::config(daemon));
}

TEST_CASE("dhcp renews on time after the daemon was killed", "[netns]") {
  DhcpNetwork host;
  const Kea server(kIpv4, "cni0", kea4_config({.renew = 2, .rebind = 4, .valid = 6}));
  const PacketLog packets("cni0");
  DhcpDaemon daemon;
  const json config = DhcpNetwork::config(daemon);
  const auto expiry = Clock::now() + seconds(6);
  const json result = host.node.add(config);
  const std::string address = address_in(result);
  daemon.restart(SIGKILL);
  (void)packets.await_with({cat(without_length(address), ".68 > 10.9.0.1.67"), "Request"}, 2);
  CHECK(Clock::now() < expiry);
  std::this_thread::sleep_until(expiry + seconds(1));
  INFO(daemon.log());
  CHECK(addresses_on("c1", "eth0") == std::vector<std::string>{address});
  CHECK(daemon.log().find("lost") == std::string::npos);
  host.node.check(config, result);
  host.node.del(config);
}

TEST_CASE("dhcp goes on renewing after the daemon was killed at it", "[netns]") {
  DhcpNetwork host;
  Kea server(kIpv4, "cni0", kea4_config({.renew = 1, .rebind = 6, .valid = 12}));
  const PacketLog packets("cni0");
  DhcpDaemon daemon;
  const json config = DhcpNetwork::config(daemon);
  const auto expiry = Clock::now() + seconds(12);
  const json result = host.node.add(config);
  const std::string address = address_in(result);
  server.kill();
  (void)packets.await_with({cat("Client-IP ", without_length(address)), "Request"});
  daemon.restart(SIGKILL);
  server.start();
  await_text([&] { return server.log(); }, cat("lease ", without_length(address), " has been"));
  std::this_thread::sleep_until(expiry + seconds(1));
  INFO(daemon.log());
  CHECK(addresses_on("c1", "eth0") == std::vector<std::string>{address});
  CHECK(daemon.log().find("lost") == std::string::npos);
  host.node.check(config, result);
  host.node.del(config);
}

TEST_CASE("dhcp gives a second ADD the same lease", "[netns]") {
  DhcpNetwork host;
  const Kea server(kIpv4, "cni0", kea4_config(kLong));
  const PacketLog packets("cni0");
  const DhcpDaemon daemon;
  const json config = DhcpNetwork::config(daemon);
  const json result = host.node.add(config);
  (void)packets.await_with({"DHCP-Message", "ACK"});
  const std::size_t before = packets.with({"DHCP-Message"}).size();
  const json again = host.node.add(DhcpNetwork::dhcp_alone(daemon));
  CHECK(address_in(again) == address_in(result));
  host.node.del(config);
  (void)packets.await_with({"DHCP-Message", "Release"});
  CHECK(packets.with({"DHCP-Message"}).size() == before + 1);
}

TEST_CASE("dhcp DEL without a daemon keeps the next one from the lease", "[netns]") {
  DhcpNetwork host;
  const Kea server(kIpv4, "cni0", kea4_config(kLong));
  // Without a daemon the plugin knows of no other folder than this.
  DhcpDaemon daemon({"-statedir=/var/lib/cni/dhcp"});
  const json config = DhcpNetwork::config(daemon);
  const json alone = DhcpNetwork::dhcp_alone(daemon);
  (void)host.node.add(config);
  CHECK(files_in("/var/lib/cni/dhcp") == 1);
  daemon.stop();
  host.node.del(alone);  // the interface stays
  CHECK(files_in("/var/lib/cni/dhcp") == 0);
  daemon.start();
  CHECK(daemon.log().find("goes on") == std::string::npos);
  CHECK_THROWS_AS(
      cni::dhcp::ask_daemon(daemon.socket_path(),
                            {cni::dhcp::Verb::kLook, {.key = {"c1", "testnet", "eth0"}}, {}},
                            seconds(10)),
      cni::Error);
}

TEST_CASE("dhcp GC gives back what an earlier daemon leased", "[netns]") {
  DhcpNetwork host;
  const Kea server(kIpv4, "cni0", kea4_config(kLong));
  DhcpDaemon daemon;
  (void)host.node.add(DhcpNetwork::config(daemon));
  daemon.restart(SIGKILL);
  CHECK(files_in(daemon.state_folder()) == 1);
  json alone = DhcpNetwork::dhcp_alone(daemon);
  alone["cni.dev/valid-attachments"] = json::array();
  CHECK(host.node.run("GC", alone).ok());
  await_text([&] { return server.log(); }, "DHCP4_RELEASE ");
  CHECK(files_in(daemon.state_folder()) == 0);
}

TEST_CASE("dhcp leases hundreds of addresses at once and its checks cost nothing", "[netns]") {
  DhcpNetwork host;
  make_many_links(host.node.spaces);
  constexpr int kAll = kNamespaces * kLinksInEach;
  const Kea server(kIpv4, "cni0", kea4_config(kLong, "10.9.1.1 - 10.9.200.1"));
  const DhcpDaemon daemon;
  json config = DhcpNetwork::dhcp_alone(daemon);
  config.update({{"cniVersion", "1.1.0"}, {"name", "testnet"}});
  const TemporaryFolder results;
  const auto began = Clock::now();
  run_at_once(kAll, [&](int number) { add_one(config, results.path(), number); });
  const auto took = std::chrono::duration_cast<seconds>(Clock::now() - began);
  CHECK(took < seconds(60));  // a few seconds on an idle machine
  std::set<std::string> addresses;
  for (int number = 0; number < kAll; ++number) {
    addresses.insert(file_text(results / std::to_string(number)));
  }
  CHECK(addresses.size() == static_cast<std::size_t>(kAll));
  CHECK(files_in(daemon.state_folder()) == static_cast<std::size_t>(kAll));

  const auto look = [&](int number) {
    return cni::dhcp::ask_daemon(daemon.socket_path(), look_at(number % kAll), seconds(20));
  };
  for (int number = 0; number < kAll; ++number) (void)look(number);
  const std::size_t files_before = open_files_of(daemon.pid());
  const long memory_before = resident_kilobytes(daemon.pid());
  for (int number = 0; number < 10000; ++number) (void)look(number);
  CHECK(open_files_of(daemon.pid()) <= files_before + 1);
  // The sanitizer keeps what was freed.
  if (!kSanitized) CHECK(resident_kilobytes(daemon.pid()) <= memory_before + 2048);
}
