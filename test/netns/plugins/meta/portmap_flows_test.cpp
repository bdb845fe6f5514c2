// Published ports beside other people's rules, over time, and with the keys that change who is
// masqueraded or let in.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "pkg/os/fd.hpp"
#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/frame_capture.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/publishing_node.hpp"
#include "test/support/skip.hpp"

using namespace cni;
using namespace cni::test;

namespace {

constexpr std::uint16_t kPort = PublishingNode::kHostPort;

std::string either_backend() {
  require_root_or_skip();
  require_program("nft");
  const std::string backend = GENERATE("iptables", "nftables");
  if (backend == "iptables") require_program("iptables");
  return backend;
}

json config_of(const std::string& backend, const json& mappings,
               const json& more = json::object()) {
  json out = more;
  out["backend"] = backend;
  out["runtimeConfig"] = {{"portMappings", mappings}};
  return out;
}

json both_protocols() { return json::array({mapping("tcp"), mapping("udp")}); }

std::string ask_tcp(const PublishingNode& node, const std::string& client,
                    const std::string& address) {
  return ask(node.netns(client), {.transport = IPPROTO_TCP,
                                  .address = address,
                                  .port = kPort,
                                  .source = {},
                                  .source_port = 0});
}

// Where nobody is to answer.
std::string ask_in_vain(const PublishingNode& node, const std::string& client,
                        const std::string& address) {
  return ask(node.netns(client), {.transport = IPPROTO_TCP,
                                  .address = address,
                                  .port = kPort,
                                  .source = {},
                                  .source_port = 0,
                                  .patience = kNoAnswerExpected});
}

// Always over the same flow: one client that keeps sending.
std::string ask_again(const PublishingNode& node, const std::string& address) {
  return ask(node.netns("remote"),
             {.address = address, .port = kPort, .source = {}, .source_port = 40000});
}

// How many flows the kernel tracks whose line has that text. Skips the case where it has no list.
std::size_t count_flows(const std::string& text) {
  std::ifstream in("/proc/net/nf_conntrack");
  if (!in) skip("/proc/net/nf_conntrack is not there (CONFIG_NF_CONNTRACK_PROCFS)");
  std::size_t out = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.find(text) != std::string::npos) ++out;
  }
  return out;
}

}  // namespace

TEST_CASE("somebody else's translation of the same port keeps winning", "[netns]") {
  const std::string backend = either_backend();
  PublishingNode node(ContainerNetwork::kBridge);
  // Of two base chains with one priority the later one comes first, and iptables' chains have the
  // usual one: with this backend only what is older than nftables' rules gives way to them.
  for (const char* chain : {"PREROUTING", "OUTPUT"}) {
    if (backend == "iptables") run_ok({"iptables", "-t", "nat", "-A", chain});
  }
  SECTION("in nftables at the usual priority") {
    run_ok({"nft", "-f", "-"},
           "table ip kube {\n"
           "chain services { ip daddr 192.0.2.1 tcp dport 8080 dnat to 10.23.0.2:80; }\n"
           "chain in { type nat hook prerouting priority -100; jump services; }\n"
           "chain out { type nat hook output priority -100; jump services; }\n"
           "}\n");
  }
  SECTION("in iptables") {
    require_program("iptables");
    for (const char* chain : {"PREROUTING", "OUTPUT"}) {
      run_ok({"iptables", "-t", "nat", "-A", chain, "-d", "192.0.2.1", "-p", "tcp", "--dport",
              "8080", "-j", "DNAT", "--to-destination", "10.23.0.2:80"});
    }
  }
  const json config = config_of(backend, both_protocols());
  node.publish(config);
  CHECK(ask_tcp(node, "remote", "192.0.2.1") == "c3 sees 192.0.2.2");
  CHECK(ask_tcp(node, "host", "192.0.2.1") == "c3 sees 192.0.2.1");
  CHECK(ask_tcp(node, "remote", "192.0.2.101") == "c1 sees 192.0.2.2");
  node.unpublish(config);
  CHECK(ask_tcp(node, "remote", "192.0.2.1") == "c3 sees 192.0.2.2");
  CHECK(ask_tcp(node, "remote", "192.0.2.101") == "host sees 192.0.2.2");
}

TEST_CASE("a UDP client that keeps sending follows its port from container to container",
          "[netns]") {
  const std::string backend = either_backend();
  const auto [address, client] = GENERATE(table<std::string, std::string>(
      {{"192.0.2.1", "192.0.2.2"}, {"2001:db8:1::1", "2001:db8:1::2"}}));
  CAPTURE(address);
  const PublishingNode node(ContainerNetwork::kBridge);
  (void)count_flows("");
  const json config = config_of(backend, both_protocols());
  // Starts before anything is published, when the host itself answers.
  run_ok(
      {"nft", "-f", "-"},
      "table inet track { chain in { type filter hook prerouting priority 0; ct state new; }; }");
  REQUIRE(ask_again(node, address) == cat("host sees ", client));
  // Through the node, with the same ports: not to be touched by what follows.
  const std::string foreign = address == "192.0.2.1" ? "198.51.100.2" : "2001:db8:2::2";
  REQUIRE(ask(node.netns("remote"),
              {.address = foreign, .port = kPort, .source = {}, .source_port = 40001}) != "");
  const std::string unrelated = cat("sport=40001 dport=", kPort, ' ');
  REQUIRE(count_flows(unrelated) == 1);

  node.publish(config, "c1");
  CHECK(ask_again(node, address) == cat("c1 sees ", client));
  node.unpublish(config, "c1");
  CHECK(ask_again(node, address) == cat("host sees ", client));
  node.publish(config, "c3");
  CHECK(ask_again(node, address) == cat("c3 sees ", client));
  CHECK(count_flows(unrelated) == 1);
}

namespace {

sockaddr_in socket_address(const char* address, std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  out.sin_addr.s_addr = ::inet_addr(address);
  return out;
}

// Sends datagrams as fast as it can, from construction to destruction.
class Flood {
 public:
  Flood(const ns::Netns& from, const char* address, std::uint16_t port)
      : fd_(from.run([] { return os::Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); })),
        thread_([this, to = socket_address(address, port)] {
          while (!stop_) {
            (void)::sendto(fd_.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
            std::this_thread::yield();
          }
        }) {}
  Flood(const Flood&) = delete;
  Flood& operator=(const Flood&) = delete;
  ~Flood() {
    stop_ = true;
    thread_.join();
  }

 private:
  os::Fd fd_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

// What an interface has seen.
struct Seen {
  int to_host = 0;  // the flood itself
  int leaked = 0;   // with an address of the container
};

// Reads what the capture holds.
void count_frames(const os::Fd& capture, Seen& seen) {
  const in_addr_t container = ::inet_addr("10.22.0.2");
  const in_addr_t host = ::inet_addr("192.0.2.1");
  std::array<char, 2048> frame{};
  for (;;) {
    const ssize_t got = ::recv(capture.get(), frame.data(), frame.size(), MSG_DONTWAIT);
    if (got < 0) return;
    if (static_cast<std::size_t>(got) < sizeof(ethhdr) + sizeof(iphdr)) continue;
    ethhdr ethernet{};
    std::memcpy(&ethernet, frame.data(), sizeof ethernet);
    if (ethernet.h_proto != htons(ETH_P_IP)) continue;
    iphdr header{};
    std::memcpy(&header, frame.data() + sizeof ethernet, sizeof header);
    if (header.daddr == host) ++seen.to_host;
    if (header.saddr == container || header.daddr == container) ++seen.leaked;
  }
}

}  // namespace

namespace {

// Takes what comes and says nothing.
os::Fd silent_server(const ns::Netns& netns, std::uint16_t port) {
  return netns.run([port] {
    os::Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const sockaddr_in own = socket_address("0.0.0.0", port);
    REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) == 0);
    return fd;
  });
}

// What the uplink sees of a flood of the host port while the port, and then the container's link,
// is taken away.
Seen flood_during_del(const PublishingNode& node, const json& config, std::uint16_t host_port) {
  const os::Fd capture = open_capture("remote");
  Seen seen;
  const auto see_more = [&] {
    for (const int until_now = seen.to_host; seen.to_host < until_now + 50;) {
      count_frames(capture, seen);
    }
  };
  const Flood flood(node.netns("remote"), "192.0.2.1", host_port);
  see_more();
  std::atomic<bool> done = false;
  std::thread deleting([&] {
    node.unpublish(config);
    // Once it answers this, it has answered what came before.
    (void)ask(node.host(), {.address = "10.22.0.2", .source = {}, .source_port = 0});
    node.detach("c1");
    done = true;
  });
  while (!done) count_frames(capture, seen);
  deleting.join();
  see_more();
  return seen;
}

}  // namespace

TEST_CASE("while a port is taken away nothing with the container's address leaves the node",
          "[netns]") {
  const std::string backend = either_backend();
  constexpr std::uint16_t kSilentPort = 9000;
  // What an answering container still sends when the port is gone is masqueraded.
  const bool answers = GENERATE(false, true);
  CAPTURE(answers);
  const json masquerade = {{"ipMasq", true}, {"ipMasqBackend", backend}};
  // The host's route to the container goes with its link here; what cannot be routed any more goes
  // to remote then.
  const PublishingNode node(ContainerNetwork::kPtp, CNI_TEST_BIN_DIR,
                            answers ? masquerade : json::object());
  run_ok({"ip", "route", "add", "default", "via", "192.0.2.2"});
  const os::Fd silent = silent_server(node.netns("c1"), kSilentPort);
  json one = mapping("udp");
  if (!answers) one["containerPort"] = kSilentPort;
  const json config = config_of(backend, json::array({one}));
  node.publish(config);
  CHECK(flood_during_del(node, config, kPort).leaked == 0);
}

TEST_CASE("masqAll hides every client", "[netns]") {
  const std::string backend = either_backend();
  const PublishingNode node(ContainerNetwork::kBridge);
  node.publish(config_of(backend, both_protocols(), {{"masqAll", true}}));
  CHECK(ask_tcp(node, "remote", "192.0.2.1") == "c1 sees 10.22.0.1");
  CHECK(ask_tcp(node, "remote", "2001:db8:1::1") == "c1 sees fd00:22::1");
  CHECK(ask_tcp(node, "c3", "192.0.2.1") == "c1 sees 10.22.0.1");
  CHECK(ask_tcp(node, "c2", "192.0.2.1") == "c1 sees 10.22.0.1");
  CHECK(ask_tcp(node, "host", "127.0.0.1") == "c1 sees 10.22.0.1");
}

TEST_CASE("without snat no client is hidden", "[netns]") {
  const std::string backend = either_backend();
  const PublishingNode node(ContainerNetwork::kBridge);
  node.publish(config_of(backend, both_protocols(), {{"snat", false}}));
  CHECK(ask_tcp(node, "remote", "192.0.2.1") == "c1 sees 192.0.2.2");
  CHECK(ask_tcp(node, "remote", "2001:db8:1::1") == "c1 sees 2001:db8:1::2");
  CHECK(ask_tcp(node, "host", "192.0.2.1") == "c1 sees 192.0.2.1");
  // The kernel does not let 127.0.0.1 leave the host, and a container takes no packets from itself.
  CHECK(ask_in_vain(node, "host", "127.0.0.1") == "");
  CHECK(ask_in_vain(node, "c1", "192.0.2.1") == "");
  CHECK(sysctl({}, "net/ipv4/conf/cni0/route_localnet") == "0");
}

TEST_CASE("another bit of the mark asks for masquerade too", "[netns]") {
  require_root_or_skip();
  require_program("iptables");
  const PublishingNode node(ContainerNetwork::kHairpinBridge);
  SECTION("another one of our own") {
    node.publish(config_of("iptables", both_protocols(), {{"markMasqBit", 20}}));
  }
  SECTION("set by a chain of somebody else") {
    for (const char* program : {"iptables", "ip6tables"}) {
      run_ok({program, "-t", "nat", "-N", "KUBE-MARK-MASQ"});
      run_ok({program, "-t", "nat", "-A", "KUBE-MARK-MASQ", "-j", "MARK", "--or-mark", "0x4000"});
      run_ok({program, "-t", "nat", "-A", "POSTROUTING", "-m", "mark", "--mark", "0x4000/0x4000",
              "-j", "MASQUERADE"});
    }
    node.publish(
        config_of("iptables", both_protocols(), {{"externalSetMarkChain", "KUBE-MARK-MASQ"}}));
  }
  CHECK(ask_tcp(node, "c2", "192.0.2.1") == "c1 sees 10.22.0.1");
  CHECK(ask_tcp(node, "c2", "2001:db8:1::1") == "c1 sees fd00:22::1");
  CHECK(ask_tcp(node, "c1", "192.0.2.1") == "c1 sees 10.22.0.1");
  CHECK(ask_tcp(node, "host", "127.0.0.1") == "c1 sees 10.22.0.1");
  CHECK(ask_tcp(node, "remote", "192.0.2.1") == "c1 sees 192.0.2.2");
}

TEST_CASE("only who meets the conditions gets to the container", "[netns]") {
  const std::string backend = either_backend();
  const PublishingNode node(ContainerNetwork::kBridge);
  const json conditions = backend == "iptables"
                              ? json{{"conditionsV4", {"-s", "192.0.2.0/24"}},
                                     {"conditionsV6", {"!", "-s", "fd00:23::/64"}}}
                              : json{{"conditionsV4", {"ip", "saddr", "192.0.2.0/24"}},
                                     {"conditionsV6", {"ip6", "saddr", "!=", "fd00:23::/64"}}};
  node.publish(config_of(backend, both_protocols(), conditions));
  CHECK(ask_tcp(node, "remote", "192.0.2.1") == "c1 sees 192.0.2.2");
  CHECK(ask_tcp(node, "remote", "2001:db8:1::1") == "c1 sees 2001:db8:1::2");
  CHECK(ask_tcp(node, "c3", "192.0.2.1") == "host sees 10.23.0.2");
  CHECK(ask_tcp(node, "c3", "2001:db8:1::1") == "host sees fd00:23::2");
}

TEST_CASE("only who is in sourceRanges gets to the container", "[netns]") {
  const std::string backend = either_backend();
  const PublishingNode node(ContainerNetwork::kBridge);
  json one = mapping("tcp");
  one["sourceRanges"] = {"192.0.2.0/24", "2001:db8:1::2/128"};
  node.publish(config_of(backend, json::array({one, mapping("udp")})));
  CHECK(ask_tcp(node, "remote", "192.0.2.1") == "c1 sees 192.0.2.2");
  CHECK(ask_tcp(node, "remote", "2001:db8:1::1") == "c1 sees 2001:db8:1::2");
  CHECK(ask_tcp(node, "c3", "192.0.2.1") == "host sees 10.23.0.2");
  CHECK(ask_tcp(node, "c3", "2001:db8:1::1") == "host sees fd00:23::2");
  CHECK(ask(node.netns("c3"),
            {.address = "192.0.2.1", .port = kPort, .source = {}, .source_port = 0}) ==
        "c1 sees 10.23.0.2");
}

TEST_CASE("a port that the reference took away is free for the next container", "[netns][nft]") {
  require_program("nft");
  const std::string reference = require_reference();
  for (const bool is_ours_next : {true, false}) {
    INFO((is_ours_next ? "ours" : "the reference") << " is next");
    PublishingNode node(ContainerNetwork::kBridge);
    const json config = config_of("nftables", both_protocols());
    node.publish(config, "c1");
    node.use_plugins_of(reference);
    node.unpublish(config, "c1");
    node.detach("c1");
    if (is_ours_next) node.use_plugins_of(CNI_TEST_BIN_DIR);
    node.publish(config, "c2");
    CHECK(ask_tcp(node, "remote", "192.0.2.1") == "c2 sees 192.0.2.2");
    CHECK(ask_tcp(node, "remote", "2001:db8:1::1") == "c2 sees 2001:db8:1::2");
    node.unpublish(config, "c2");
    const std::string rest = run_ok({"nft", "list", "ruleset"});
    // What the reference does not know of is ours to take away.
    CHECK((rest.find("id: c1") == std::string::npos) == is_ours_next);
    CHECK(rest.find("c2") == std::string::npos);
  }
}
