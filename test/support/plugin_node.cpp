#include "test/support/plugin_node.hpp"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "pkg/os/fd.hpp"
#include "pkg/types/address.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/snapshot.hpp"

namespace cni::test {
namespace {

constexpr std::uint16_t kPort = 8765;
constexpr int kTimeoutMilliseconds = 2000;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

SocketAddress socket_address(const Ip& ip) {
  SocketAddress out;
  if (ip.is_ipv4()) {
    auto& in = reinterpret_cast<sockaddr_in&>(out.storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(kPort);
    std::memcpy(&in.sin_addr, ip.data(), ip.size());
    out.size = sizeof in;
  } else {
    auto& in = reinterpret_cast<sockaddr_in6&>(out.storage);
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(kPort);
    std::memcpy(&in.sin6_addr, ip.data(), ip.size());
    out.size = sizeof in;
  }
  return out;
}

bool ready(int fd, short events) {
  pollfd polled{fd, events, 0};
  return ::poll(&polled, 1, kTimeoutMilliseconds) == 1;
}

os::Fd stream_socket(const Ip& ip) {
  return os::Fd(
      ::socket(ip.is_ipv4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

std::string peer_of(int fd) {
  SocketAddress peer;
  peer.size = sizeof peer.storage;
  if (::getpeername(fd, peer.get(), &peer.size) != 0) return {};
  const bool ipv4 = peer.storage.ss_family == AF_INET;
  const void* bytes =
      ipv4 ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in&>(peer.storage).sin_addr)
           : &reinterpret_cast<const sockaddr_in6&>(peer.storage).sin6_addr;
  return Ip::from_bytes(bytes, ipv4 ? 4 : 16)->to_string();
}

// Both ends are non-blocking, so one thread can play them; each socket lives in its own namespace.
bool exchange(int from, int to) {
  const std::string_view text = "hello";
  char buffer[16];
  if (!ready(from, POLLOUT) || ::write(from, text.data(), text.size()) < 0) return false;
  return ready(to, POLLIN) &&
         ::read(to, buffer, sizeof buffer) == static_cast<ssize_t>(text.size());
}

}  // namespace

PluginRun PluginNode::run(std::string_view command, const json& config,
                          const std::string& container, const json& prev_result, const Call& rest) {
  json whole = config;
  if (!whole.contains("cniVersion")) whole["cniVersion"] = "1.1.0";
  if (!whole.contains("name")) whole["name"] = "testnet";
  if (!prev_result.is_null()) whole["prevResult"] = prev_result;
  Call call = rest;
  call.command = command;
  call.container_id = container;
  call.netns = "/run/netns/" + container;
  call.input = whole.dump();
  return call_in_process(plugin_named(whole.at("type").get<std::string>()), call);
}

json PluginNode::add(const json& config, const std::string& container, const Call& rest) {
  const PluginRun result = run("ADD", config, container, nullptr, rest);
  INFO(result.describe());
  REQUIRE(result.ok());
  return result.document;
}

void PluginNode::del(const json& config, const std::string& container, const json& prev_result) {
  const PluginRun result = run("DEL", config, container, prev_result);
  INFO(result.describe());
  REQUIRE(result.ok());
  CHECK(result.out.empty());
}

void PluginNode::check(const json& config, const json& prev_result, const std::string& container) {
  const PluginRun result = run("CHECK", config, container, prev_result);
  INFO(result.describe());
  REQUIRE(result.ok());
}

void check_add_and_del(PluginNode& node, const json& config, const std::string& address) {
  const std::string version = config.at("cniVersion");
  CAPTURE(version);
  const Snapshot before = take({"c1"});
  const json result = node.add(config);
  CHECK(addresses_on("c1", "eth0") == std::vector<std::string>{address});
  if (version >= "0.4.0") node.check(config, result);
  node.del(config);
  CHECK(diff(without_shared(before), without_shared(take({"c1"}))) == "");
  node.del(config);
}

void check_ipam_dns(PluginNode& node, json config) {
  config["ipam"] = {{"type", "static"},
                    {"addresses", json::array({{{"address", "10.24.0.5/16"}}})},
                    {"dns", {{"nameservers", {"10.24.0.1"}}}}};
  CHECK(node.add(config).at("dns").at("nameservers") == json::array({"10.24.0.1"}));
  node.del(config);
  config["dns"] = {{"domain", "example.org"}};
  CHECK(node.add(config).at("dns") == json({{"domain", "example.org"}}));
}

void check_gc_reaches_ipam(PluginNode& node, json config) {
  const json result = node.add(config);
  const std::string address = result.at("ips")[0].at("address");
  const std::string reservation =
      "/var/lib/cni/networks/testnet/" + address.substr(0, address.find('/'));
  CHECK(::access(reservation.c_str(), F_OK) == 0);
  config["cni.dev/valid-attachments"] = json::array();
  CHECK(node.run("GC", config).ok());
  CHECK(::access(reservation.c_str(), F_OK) != 0);
}

std::string tcp_client_seen(const ns::Netns& client, const ns::Netns& server,
                            const std::string& address) {
  const Ip ip = Ip::parse(address).value();
  SocketAddress where = socket_address(ip);
  const os::Fd listener = server.run([&] { return stream_socket(ip); });
  const int on = 1;
  REQUIRE(::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
  REQUIRE(::bind(listener.get(), where.get(), where.size) == 0);
  REQUIRE(::listen(listener.get(), 1) == 0);

  const os::Fd connecting = client.run([&] { return stream_socket(ip); });
  (void)::connect(connecting.get(), where.get(), where.size);  // goes on in the background
  if (!ready(listener.get(), POLLIN)) return {};
  const os::Fd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!accepted || !exchange(connecting.get(), accepted.get()) ||
      !exchange(accepted.get(), connecting.get())) {
    return {};
  }
  return peer_of(accepted.get());
}

bool pings(const std::string& netns, const std::string& address) {
  const std::vector<std::string> command = {"ping", "-n", "-c", "1",    "-i",
                                            "0.2",  "-w", "3",  address};
  return (netns.empty() ? test::run(command) : run_in(netns, command)).ok();
}

}  // namespace cni::test
