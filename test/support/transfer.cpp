#include "test/support/transfer.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <stdexcept>

#include "pkg/types/address.hpp"
#include "pkg/types/error.hpp"

namespace cni::test {
namespace {

constexpr std::uint16_t kPort = 5201;
constexpr std::size_t kDatagram = 1400;
constexpr std::size_t kChunk = 64 * 1024;
constexpr std::chrono::seconds kPatience{10};

using Buffer = std::array<char, kChunk>;

void check(bool good, const char* what) {
  if (!good) throw std::runtime_error(cat(what, ": ", errno_text(errno)));
}

// Sockets are IPv6's, and IPv4 addresses mapped to it: one kind serves both.
sockaddr_in6 endpoint(const std::string& address) {
  const Ip ip = Ip::parse(address).value();
  sockaddr_in6 out{};
  out.sin6_family = AF_INET6;
  out.sin6_port = htons(kPort);
  const bool is_mapped = ip.is_ipv4();
  if (is_mapped) out.sin6_addr.s6_addr[10] = out.sin6_addr.s6_addr[11] = 0xff;
  std::memcpy(out.sin6_addr.s6_addr + (is_mapped ? 12 : 0), ip.data(), ip.size());
  return out;
}

os::Fd open_socket(int type) {
  os::Fd out(::socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  check(out.get() >= 0, "open a socket");
  return out;
}

os::Fd open_listener(int type) {
  os::Fd out = open_socket(type);
  const int no = 0;
  const int yes = 1;
  const int room = 4 * 1024 * 1024;
  check(::setsockopt(out.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no) == 0, "take both");
  check(::setsockopt(out.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0, "reuse a port");
  // A datagram is not to be lost here, however busy the machine is.
  if (type == SOCK_DGRAM) {
    (void)::setsockopt(out.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  }
  sockaddr_in6 own{};
  own.sin6_family = AF_INET6;
  own.sin6_port = htons(kPort);
  check(::bind(out.get(), reinterpret_cast<sockaddr*>(&own), sizeof own) == 0, "bind");
  return out;
}

}  // namespace

Transfer::Transfer(Kind kind, const ns::Netns& from, const ns::Netns& to,
                   const std::string& address, std::uint64_t udp_rate)
    : kind_(kind), udp_rate_(udp_rate), started_(Clock::now()) {
  const int type = kind == Kind::kTcp ? SOCK_STREAM : SOCK_DGRAM;
  receiver_ = to.run([&] { return open_listener(type); });
  sender_ = from.run([&] { return open_socket(type); });
  if (kind == Kind::kTcp) check(::listen(receiver_.get(), 1) == 0, "listen");
  sockaddr_in6 peer = endpoint(address);
  const int result = ::connect(sender_.get(), reinterpret_cast<sockaddr*>(&peer), sizeof peer);
  check(result == 0 || errno == EINPROGRESS, "connect");
  if (kind == Kind::kTcp) connect_tcp();
  started_ = Clock::now();
}

void Transfer::connect_tcp() {
  pollfd wait{receiver_.get(), POLLIN, 0};
  const auto patience = std::chrono::milliseconds(kPatience).count();
  if (::poll(&wait, 1, static_cast<int>(patience)) != 1) throw std::runtime_error("no connection");
  receiver_ = os::Fd(::accept4(receiver_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  check(receiver_.get() >= 0, "accept");
}

void Transfer::send_what_is_due(Clock::time_point now) {
  static const Buffer kZeros{};
  const std::size_t size = kind_ == Kind::kTcp ? kZeros.size() : kDatagram;
  const double due =
      std::chrono::duration<double>(now - started_).count() * static_cast<double>(udp_rate_) / 8;
  while (kind_ == Kind::kTcp || static_cast<double>(sent_) < due) {
    const ssize_t sent = ::send(sender_.get(), kZeros.data(), size, MSG_NOSIGNAL);
    if (sent >= 0) {
      sent_ += static_cast<std::uint64_t>(sent);
      continue;
    }
    // What a full queue does not take is lost.
    if (kind_ == Kind::kUdp && errno == ENOBUFS) {
      sent_ += size;
      continue;
    }
    check(errno == EAGAIN, "send");
    return;
  }
}

std::uint64_t Transfer::receive() {
  static Buffer buffer;
  std::uint64_t out = 0;
  for (;;) {
    const ssize_t got = ::recv(receiver_.get(), buffer.data(), buffer.size(), 0);
    if (got == 0) throw std::runtime_error("the connection was closed");
    if (got < 0) {
      check(errno == EAGAIN, "receive");
      return out;
    }
    out += static_cast<std::uint64_t>(got);
  }
}

std::uint64_t Transfer::received_in(std::chrono::milliseconds duration) {
  const Clock::time_point give_up = Clock::now() + kPatience + duration;
  std::optional<Clock::time_point> end;
  std::uint64_t out = 0;
  for (;;) {
    const Clock::time_point now = Clock::now();
    if (end && now >= *end) return out;
    if (now >= give_up) throw std::runtime_error("nothing arrives");
    send_what_is_due(now);
    const std::uint64_t got = receive();
    if (got != 0 && !end) {
      end = Clock::now() + duration;
    } else {
      out += got;
    }
    pollfd waits[] = {{receiver_.get(), POLLIN, 0}, {sender_.get(), POLLOUT, 0}};
    // Datagrams can always be sent; they are due every millisecond.
    (void)::poll(waits, kind_ == Kind::kTcp ? 2 : 1, 1);
  }
}

}  // namespace cni::test
