#include "test/support/udp_probe.hpp"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "pkg/os/fd.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/error.hpp"

namespace cni::test {
namespace {

constexpr std::uint16_t kPort = 9;
constexpr int kAttempts = 8;  // four a second

struct Endpoint {
  sockaddr_storage storage{};
  socklen_t size = 0;

  explicit Endpoint(const Ip& ip, std::uint16_t port) {
    if (ip.is_ipv4()) {
      auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
      v4->sin_family = AF_INET;
      v4->sin_port = htons(port);
      std::memcpy(&v4->sin_addr, ip.data(), ip.size());
      size = sizeof *v4;
    } else {
      auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
      v6->sin6_family = AF_INET6;
      v6->sin6_port = htons(port);
      std::memcpy(&v6->sin6_addr, ip.data(), ip.size());
      size = sizeof *v6;
    }
  }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

void check(int result, const std::string& what) {
  if (result < 0) throw std::runtime_error(cat(what, ": ", errno_text(errno)));
}

os::Fd open_socket(const Ip& ip) {
  os::Fd out(::socket(ip.is_ipv4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  check(out.get(), "open a UDP socket");
  return out;
}

void join(int fd, const Ip& group, const std::string& interface) {
  const unsigned index = ::if_nametoindex(interface.c_str());
  if (group.is_ipv4()) {
    ip_mreqn request{};
    std::memcpy(&request.imr_multiaddr, group.data(), group.size());
    request.imr_ifindex = static_cast<int>(index);
    check(::setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request), "join");
  } else {
    ipv6_mreq request{};
    std::memcpy(&request.ipv6mr_multiaddr, group.data(), group.size());
    request.ipv6mr_interface = index;
    check(::setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &request, sizeof request), "join");
  }
}

void leave_through(int fd, const Ip& group, const std::string& interface) {
  const int index = static_cast<int>(::if_nametoindex(interface.c_str()));
  if (group.is_ipv4()) {
    ip_mreqn request{};
    request.imr_ifindex = index;
    check(::setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request), "choose link");
  } else {
    check(::setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index), "choose link");
  }
}

os::Fd listen_on(const Ip& ip, const std::string& interface) {
  os::Fd out = open_socket(ip);
  const timeval pause{0, 250'000};
  check(::setsockopt(out.get(), SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof pause), "set timeout");
  Endpoint own(ip, kPort);
  check(::bind(out.get(), own.get(), own.size), cat("bind ", ip.to_string()));
  if (ip.is_multicast()) join(out.get(), ip, interface);
  return out;
}

void send_one(const Ip& destination, const UdpProbe& probe) {
  os::Fd out = open_socket(destination);
  if (!probe.source.empty()) {
    Endpoint own(Ip::parse(probe.source).value(), 0);
    check(::bind(out.get(), own.get(), own.size), cat("bind ", probe.source));
  }
  if (!probe.interface.empty()) leave_through(out.get(), destination, probe.interface);
  Endpoint peer(destination, kPort);
  check(static_cast<int>(::sendto(out.get(), "x", 1, 0, peer.get(), peer.size)),
        cat("send to ", probe.destination));
}

}  // namespace

std::optional<std::string> source_seen(const ns::Netns& sender, const ns::Netns& receiver,
                                       const UdpProbe& probe) {
  const Ip destination = Ip::parse(probe.destination).value();
  const os::Fd listener =
      receiver.run([&] { return listen_on(destination, probe.receiver_interface); });
  char byte = 0;
  sockaddr_storage from{};
  socklen_t size = sizeof from;
  // One may be lost while the neighbours get to know each other.
  for (int attempt = 0;; ++attempt) {
    if (attempt == kAttempts) return std::nullopt;
    sender.run([&] { send_one(destination, probe); });
    auto* address = reinterpret_cast<sockaddr*>(&from);
    if (::recvfrom(listener.get(), &byte, 1, 0, address, &size) >= 0) break;
  }
  if (from.ss_family == AF_INET) {
    return Ip::from_bytes(&reinterpret_cast<sockaddr_in*>(&from)->sin_addr, 4)->to_string();
  }
  return Ip::from_bytes(&reinterpret_cast<sockaddr_in6*>(&from)->sin6_addr, 16)->to_string();
}

}  // namespace cni::test
