#include "test/support/connect_probe.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "pkg/os/fd.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/error.hpp"
#include "test/support/ip_json.hpp"

namespace cni::test {
namespace {

// A lost SYN is sent again after a second.
constexpr int kTcpPatience = 2'000;  // ms
constexpr int kUdpPatience = 250;    // ms, for each of these datagrams
constexpr int kDatagrams = 8;

void check(int result, const std::string& what) {
  if (result < 0) throw std::runtime_error(cat(what, ": ", errno_text(errno)));
}

// Sockets are IPv6's, and IPv4 addresses mapped to it: one kind serves both.
sockaddr_in6 endpoint(const std::string& address, std::uint16_t port) {
  const Ip ip = Ip::parse(address).value();
  sockaddr_in6 out{};
  out.sin6_family = AF_INET6;
  out.sin6_port = htons(port);
  if (ip.is_ipv4()) {
    out.sin6_addr.s6_addr[10] = out.sin6_addr.s6_addr[11] = 0xff;
    std::memcpy(out.sin6_addr.s6_addr + 12, ip.data(), ip.size());
  } else {
    std::memcpy(&out.sin6_addr, ip.data(), ip.size());
  }
  return out;
}

os::Fd open_bound(int type, std::uint16_t port) {
  os::Fd out(::socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  check(out.get(), "open a socket");
  const int no = 0;
  const int yes = 1;
  check(::setsockopt(out.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no), "take both families");
  check(::setsockopt(out.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), "take a used port");
  sockaddr_in6 own{};
  own.sin6_family = AF_INET6;
  own.sin6_port = htons(port);
  check(::bind(out.get(), reinterpret_cast<sockaddr*>(&own), sizeof own), "bind");
  return out;
}

int connect_to(int fd, const std::string& address, std::uint16_t port) {
  sockaddr_in6 peer = endpoint(address, port);
  return ::connect(fd, reinterpret_cast<sockaddr*>(&peer), sizeof peer) == 0 ? 0 : errno;
}

int pending_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  check(::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), "ask for an error");
  return error;
}

// What a router's refusal is for the sender, in either family.
bool is_rejection(int error) { return error == EHOSTUNREACH || error == EACCES; }

Answer answer_of(int error) {
  if (error == 0) return Answer::kArrived;
  if (is_rejection(error)) return Answer::kRejected;
  throw std::runtime_error(cat("connect: ", errno_text(error)));
}

}  // namespace

std::string to_string(Answer answer) {
  return answer == Answer::kArrived ? "arrived" : answer == Answer::kRejected ? "rejected" : "none";
}

Answer connect_tcp(const ns::Netns& from, const ns::Netns& to, const std::string& address,
                   std::uint16_t port) {
  const os::Fd listener = to.run([&] { return open_bound(SOCK_STREAM, port); });
  check(::listen(listener.get(), 1), "listen");
  const os::Fd client = from.run([] { return open_bound(SOCK_STREAM, 0); });
  const int error = connect_to(client.get(), address, port);
  if (error != EINPROGRESS) return answer_of(error);
  pollfd wait{client.get(), POLLOUT, 0};
  const int ready = ::poll(&wait, 1, kTcpPatience);
  check(ready, "wait for a connection");
  return ready == 0 ? Answer::kNone : answer_of(pending_error(client.get()));
}

Answer send_udp(const ns::Netns& from, const ns::Netns& to, const std::string& address,
                std::uint16_t port, std::uint16_t source_port) {
  const os::Fd listener = to.run([&] { return open_bound(SOCK_DGRAM, port); });
  const os::Fd sender = from.run([&] { return open_bound(SOCK_DGRAM, source_port); });
  check(-connect_to(sender.get(), address, port), "choose a peer");
  for (int i = 0; i < kDatagrams; ++i) {
    // An error is that of the datagram before.
    if (::send(sender.get(), "x", 1, 0) < 0) return answer_of(errno);
    pollfd waits[] = {{listener.get(), POLLIN, 0}, {sender.get(), 0, 0}};
    check(::poll(waits, 2, kUdpPatience), "wait for a datagram");
    if (waits[0].revents != 0) return Answer::kArrived;
    if (waits[1].revents != 0) return answer_of(pending_error(sender.get()));
  }
  return Answer::kNone;
}

Answer ping(const std::string& from, const std::string& address) {
  const os::Exit exit = run_in(from, {"ping", "-n", "-c", "2", "-i", "0.2", "-W", "2", address});
  if (exit.ok()) return Answer::kArrived;
  const bool is_rejected = exit.out.find("Packet filtered") != std::string::npos ||
                           exit.out.find("Administratively prohibited") != std::string::npos;
  return is_rejected ? Answer::kRejected : Answer::kNone;
}

}  // namespace cni::test
