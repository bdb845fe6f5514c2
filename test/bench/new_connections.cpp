#include "test/bench/new_connections.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <string>

#include "pkg/netlink/addr.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/new_link.hpp"
#include "pkg/netlink/route.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/os/sysctl.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/error.hpp"

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;
namespace netlink = cni::netlink;

constexpr const char* kNodeToBeyond = "10.94.0.1";

// A link from the host to another namespace, where it is eth0 and the default route.
struct Way {
  const char* host_link;
  const char* host_address;
  int length;
  const char* address;
};
constexpr Way kToContainer{"way0", "10.93.0.1", 16, "10.93.0.2"};
constexpr Way kBeyond{"out0", kNodeToBeyond, 24, "10.94.0.2"};

void check(int result, const char* what) {
  if (result < 0) throw std::runtime_error(cni::cat(what, ": ", cni::errno_text(errno)));
}

void set_up_with_address(netlink::Socket& socket, const char* link, const char* address,
                         int length) {
  const auto index = netlink::get_link(socket, link).index;
  netlink::add_address(socket, index, *cni::Prefix::parse(cni::cat(address, '/', length)),
                       netlink::Dad::kSkip);
  netlink::set_up(socket, index);
}

void lay(const Way& way, const Node& node, const Namespace& end) {
  auto host = netlink::Socket::open_in(node.host().netns());
  auto other = netlink::Socket::open_in(end.netns());
  netlink::add_veth(
      host,
      {.name = way.host_link, .mac = {}, .peer_name = "eth0", .peer_netns_fd = end.netns().fd()});
  set_up_with_address(other, "eth0", way.address, way.length);
  set_up_with_address(host, way.host_link, way.host_address, way.length);
  netlink::add_route(other, {.destination = *cni::Prefix::parse("0.0.0.0/0"),
                             .gateway = cni::Ip::parse(way.host_address),
                             .link = netlink::get_link(other, "eth0").index});
}

sockaddr_in endpoint(const char* address, std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  (void)::inet_pton(AF_INET, address, &out.sin_addr);
  return out;
}

// Of the namespace that this process is in.
cni::os::Fd listen_on(std::uint16_t port) {
  cni::os::Fd out(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  check(out.get(), "open a socket");
  const sockaddr_in any = endpoint("0.0.0.0", port);
  check(::bind(out.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), "bind");
  check(::listen(out.get(), 1), "listen");
  return out;
}

// Such that a packet that is lost ends the run instead of being one slow sample among many, and
// that nothing of the connection remains when it is closed.
cni::os::Fd open_client() {
  cni::os::Fd out(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  check(out.get(), "open a socket");
  const timeval patience{.tv_sec = 0, .tv_usec = 900'000};  // a SYN is sent again after 1 s
  check(::setsockopt(out.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience),
        "limit the time of a connection");
  const linger reset{.l_onoff = 1, .l_linger = 0};
  check(::setsockopt(out.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset),
        "have a connection reset");
  return out;
}

}  // namespace

ClientAndServer::ClientAndServer(const Node& node, Server server, std::uint16_t server_port)
    : node_(node), server_(server) {
  lay(kToContainer, node, node.container());
  lay(kBeyond, node, beyond_);
  node.host().enter();
  cni::os::write_sysctl({"net", "ipv4", "ip_forward"}, "1");
  (is_published() ? node.container() : beyond_).enter();
  listener_ = listen_on(server_port);
}

Duration ClientAndServer::connect(std::uint16_t port) const {
  (is_published() ? beyond_ : node_.container()).enter();
  const cni::os::Fd client = open_client();
  const sockaddr_in target = endpoint(is_published() ? kNodeToBeyond : kBeyond.address, port);
  const auto start = Clock::now();
  const int result =
      ::connect(client.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target);
  const auto end = Clock::now();
  check(result, "connect");
  sockaddr_in peer{};
  socklen_t size = sizeof peer;
  const cni::os::Fd server(
      ::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC));
  check(server.get(), "accept a connection");
  check_source(peer);
  return end - start;
}

void ClientAndServer::check_source(const sockaddr_in& peer) const {
  if (is_published() || peer.sin_addr.s_addr == endpoint(kNodeToBeyond, 0).sin_addr.s_addr) return;
  throw std::runtime_error("a connection from the container was not masqueraded");
}

}  // namespace bench
