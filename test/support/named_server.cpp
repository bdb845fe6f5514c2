#include "test/support/named_server.hpp"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <utility>

#include "pkg/types/address.hpp"
#include "pkg/types/error.hpp"

namespace cni::test {
namespace {

// A datagram that gets no answer may have been lost while neighbours get to know each other.
constexpr std::chrono::milliseconds kRepeatAfter{500};

struct Endpoint {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;

  Endpoint() = default;
  Endpoint(const Ip& ip, std::uint16_t port) {
    if (ip.is_ipv4()) {
      auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
      v4.sin_family = AF_INET;
      v4.sin_port = htons(port);
      std::memcpy(&v4.sin_addr, ip.data(), ip.size());
      size = sizeof v4;
    } else {
      auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(port);
      std::memcpy(&v6.sin6_addr, ip.data(), ip.size());
      size = sizeof v6;
    }
  }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  std::string to_string() const {
    const bool is_ipv4 = storage.ss_family == AF_INET;
    const void* bytes = &reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr;
    if (is_ipv4) bytes = &reinterpret_cast<const sockaddr_in&>(storage).sin_addr;
    return Ip::from_bytes(bytes, is_ipv4 ? 4 : 16)->to_string();
  }
};

void demand(int result, const std::string& what) {
  if (result < 0) throw std::runtime_error(cat(what, ": ", errno_text(errno)));
}

os::Fd open_socket(const Ip& ip, int transport) {
  const int type = transport == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM;
  const int domain = ip.is_ipv4() ? AF_INET : AF_INET6;
  os::Fd out(::socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, transport));
  demand(out.get(), cat("open a socket of protocol ", transport));
  return out;
}

void set_on(int fd, int level, int option) {
  const int on = 1;
  demand(::setsockopt(fd, level, option, &on, sizeof on), "set a socket option");
}

os::Fd open_server(const Ip& ip, std::uint16_t port, int transport) {
  os::Fd out = open_socket(ip, transport);
  set_on(out.get(), SOL_SOCKET, SO_REUSEADDR);
  if (!ip.is_ipv4()) set_on(out.get(), IPPROTO_IPV6, IPV6_V6ONLY);
  Endpoint own(ip, port);
  demand(::bind(out.get(), own.get(), own.size), cat("bind ", ip.to_string(), " port ", port));
  if (transport != IPPROTO_UDP) {
    demand(::listen(out.get(), 16), "listen");
  } else if (ip.is_ipv4()) {
    set_on(out.get(), IPPROTO_IP, IP_PKTINFO);
  } else {
    set_on(out.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO);
  }
  return out;
}

bool is_readable(int fd, std::chrono::milliseconds patience) {
  pollfd polled{fd, POLLIN, 0};
  return ::poll(&polled, 1, static_cast<int>(patience.count())) == 1;
}

std::string read_all(int fd) {
  std::array<char, 256> buffer{};
  const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
  return got > 0 ? std::string(buffer.data(), static_cast<std::size_t>(got)) : std::string();
}

os::Fd open_client(const Question& question, const Ip& destination) {
  os::Fd out = open_socket(destination, question.transport);
  set_on(out.get(), SOL_SOCKET, SO_REUSEADDR);
  if (!question.source.empty() || question.source_port != 0) {
    const Ip any = *Ip::parse(destination.is_ipv4() ? "0.0.0.0" : "::");
    Endpoint own(Ip::parse(question.source).value_or(any), question.source_port);
    demand(::bind(out.get(), own.get(), own.size), cat("bind ", question.source));
  }
  return out;
}

// Makes what tells where a datagram came in say where the answer comes from: the address that was
// asked. The route is chosen anew.
void turn_around(cmsghdr& control) {
  if (control.cmsg_level == IPPROTO_IP) {
    auto& info = *reinterpret_cast<in_pktinfo*>(CMSG_DATA(&control));
    info.ipi_ifindex = 0;
    info.ipi_spec_dst = info.ipi_addr;
  } else {
    auto& info = *reinterpret_cast<in6_pktinfo*>(CMSG_DATA(&control));
    if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) info.ipi6_ifindex = 0;
  }
}

std::string ask_datagram(int fd, std::chrono::steady_clock::time_point end) {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) return {};
    (void)::send(fd, "?", 1, 0);  // a failure shows as silence
    if (is_readable(fd, std::min(left, kRepeatAfter))) return read_all(fd);
  }
}

}  // namespace

NamedServer::NamedServer(const ns::Netns& netns, std::string name, const Options& options)
    : name_(std::move(name)), stop_(::eventfd(0, EFD_CLOEXEC)) {
  std::vector<std::string> addresses = options.addresses;
  if (addresses.empty()) addresses = {"0.0.0.0", "::"};
  netns.run([&] {
    for (const std::string& address : addresses) {
      const Ip ip = Ip::parse(address).value();
      for (const std::uint16_t port : options.ports) {
        datagram_sockets_.push_back(open_server(ip, port, IPPROTO_UDP));
        listeners_.push_back(open_server(ip, port, IPPROTO_TCP));
        if (options.sctp) listeners_.push_back(open_server(ip, port, IPPROTO_SCTP));
      }
    }
  });
  thread_ = std::thread([this] { serve(); });
}

NamedServer::~NamedServer() {
  (void)::eventfd_write(stop_.get(), 1);
  thread_.join();
}

void NamedServer::serve() {
  std::vector<pollfd> polled = {{stop_.get(), POLLIN, 0}};
  for (const os::Fd& fd : datagram_sockets_) polled.push_back({fd.get(), POLLIN, 0});
  for (const os::Fd& fd : listeners_) polled.push_back({fd.get(), POLLIN, 0});
  for (;;) {
    if (::poll(polled.data(), polled.size(), -1) < 0) continue;
    if (polled[0].revents != 0) return;
    for (std::size_t i = 1; i < polled.size(); ++i) {
      if (polled[i].revents == 0) continue;
      if (i <= datagram_sockets_.size()) {
        answer_datagram(polled[i].fd);
      } else {
        answer_connection(polled[i].fd);
      }
    }
  }
}

void NamedServer::answer_datagram(int fd) const {
  Endpoint client;
  std::array<char, 16> text{};
  alignas(cmsghdr) std::array<char, 128> control{};
  iovec part{text.data(), text.size()};
  msghdr message{};
  message.msg_name = client.get();
  message.msg_namelen = client.size;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (::recvmsg(fd, &message, 0) < 0) return;
  for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
    turn_around(*one);
  }
  std::string answer = cat(name_, " sees ", client.to_string());
  part = {answer.data(), answer.size()};
  (void)::sendmsg(fd, &message, 0);  // the client may be gone
}

void NamedServer::answer_connection(int fd) const {
  Endpoint client;
  const os::Fd connection(::accept4(fd, client.get(), &client.size, SOCK_CLOEXEC));
  if (!connection) return;
  const std::string answer = cat(name_, " sees ", client.to_string());
  (void)::send(connection.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
}

std::string ask(const ns::Netns& client, const Question& question) {
  const auto end = std::chrono::steady_clock::now() + question.patience;
  const Ip destination = Ip::parse(question.address).value();
  const os::Fd fd = client.run([&] {
    os::Fd out = open_client(question, destination);
    Endpoint peer(destination, question.port);
    // Goes on in the background; a failure shows below.
    (void)::connect(out.get(), peer.get(), peer.size);
    return out;
  });
  if (question.transport == IPPROTO_UDP) return ask_datagram(fd.get(), end);
  return is_readable(fd.get(), question.patience) ? read_all(fd.get()) : std::string();
}

bool has_sctp() {
  const os::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP));
  return static_cast<bool>(fd);
}

}  // namespace cni::test
