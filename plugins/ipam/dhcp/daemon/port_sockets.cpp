#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "pkg/os/background.hpp"
#include "pkg/types/error.hpp"
#include "plugins/ipam/dhcp/daemon/port.hpp"
#include "plugins/ipam/dhcp/v4/frame.hpp"
#include "plugins/ipam/dhcp/v6/message.hpp"

namespace cni::dhcp {
namespace {

// Passes IPv4's UDP for the client's port, first fragments only; offsets are those of Ethernet.
constexpr std::uint32_t kEtherType = 12;
constexpr std::uint32_t kIp = 14;
constexpr std::uint32_t kIpFragment = kIp + 6;
constexpr std::uint32_t kIpProtocol = kIp + 9;
constexpr std::uint32_t kUdpDestination = kIp + 2;  // behind the IP header, whose length is in X

constexpr std::uint32_t kAll = 0xffffffff;

sock_filter statement(int code, std::uint32_t k) {
  return {static_cast<std::uint16_t>(code), 0, 0, k};
}
sock_filter jump(int code, std::uint32_t k, std::uint8_t if_true, std::uint8_t if_false) {
  return {static_cast<std::uint16_t>(code), if_true, if_false, k};
}

void pass_dhcp_only(int fd) {
  std::array<sock_filter, 11> code{
      statement(BPF_LD | BPF_H | BPF_ABS, kEtherType),
      jump(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 8),
      statement(BPF_LD | BPF_B | BPF_ABS, kIpProtocol),
      jump(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 6),
      statement(BPF_LD | BPF_H | BPF_ABS, kIpFragment),
      jump(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 4, 0),
      statement(BPF_LDX | BPF_B | BPF_MSH, kIp),
      statement(BPF_LD | BPF_H | BPF_IND, kUdpDestination),
      jump(BPF_JMP | BPF_JEQ | BPF_K, v4::kClientPort, 0, 1),
      statement(BPF_RET | BPF_K, kAll),
      statement(BPF_RET | BPF_K, 0),
  };
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) {
    throw system_error("attach a filter to a packet socket", errno);
  }
}

os::Fd open_socket(const Port& port, int family, int type, int protocol) {
  return ns::Netns::open(port.netns()).run([&] {
    os::Fd fd(::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
    if (!fd) throw system_error("open a socket for DHCP", errno);
    return fd;
  });
}

void bind_to_device(int fd, const Port& port) {
  const std::string& name = port.ifname();
  if (::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name.data(),
                   static_cast<socklen_t>(name.size())) != 0) {
    throw system_error(cat("bind a socket to ", name), errno);
  }
  const int on = 1;
  (void)::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
}

template <class Address>
void bind_to(int fd, const Address& address, const std::string& what) {
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw system_error(cat("bind a socket to ", what), errno);
  }
}

}  // namespace

PacketSocket PacketSocket::open(const Port& port, Kind kind) {
  PacketSocket out;
  // Protocol 0: nothing is received before the filter is in place and the socket is bound.
  out.fd_ = open_socket(port, AF_PACKET, SOCK_RAW, 0);
  if (kind == Kind::kDhcp) pass_dhcp_only(out.fd_.get());
  const int on = 1;
  (void)::setsockopt(out.fd_.get(), SOL_PACKET, PACKET_AUXDATA, &on, sizeof on);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(kind == Kind::kDhcp ? ETH_P_IP : ETH_P_ARP);
  address.sll_ifindex = port.identity().link_index;
  bind_to(out.fd_.get(), address, port.ifname());
  return out;
}

PacketSocket& PacketSocket::operator=(PacketSocket&& other) noexcept {
  if (fd_) os::close_in_background(std::move(fd_));
  fd_ = std::move(other.fd_);
  return *this;
}

// Closing a packet socket waits for an RCU grace period, 5 to 15 ms.
PacketSocket::~PacketSocket() {
  if (fd_) os::close_in_background(std::move(fd_));
}

bool PacketSocket::send(std::span<const std::uint8_t> frame) const {
  return ::send(fd_.get(), frame.data(), frame.size(), 0) == std::ssize(frame);
}

std::optional<PacketSocket::Frame> PacketSocket::receive(std::span<std::uint8_t> buffer) const {
  iovec piece{buffer.data(), buffer.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(tpacket_auxdata))> control{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = ::recvmsg(fd_.get(), &message, 0);
  if (got < 0) return std::nullopt;
  Frame frame{buffer.first(static_cast<std::size_t>(got)), true};
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_PACKET || at->cmsg_type != PACKET_AUXDATA) continue;
    tpacket_auxdata auxiliary{};
    std::memcpy(&auxiliary, CMSG_DATA(at), sizeof auxiliary);
    frame.checksum_is_known = (auxiliary.tp_status & TP_STATUS_CSUMNOTREADY) == 0;
  }
  return frame;
}

UdpSocket UdpSocket::open_ipv4(const Port& port, const Ip& source) {
  UdpSocket out;
  out.link_index_ = port.identity().link_index;
  out.fd_ = open_socket(port, AF_INET, SOCK_DGRAM, 0);
  bind_to_device(out.fd_.get(), port);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(v4::kClientPort);
  std::memcpy(&address.sin_addr, source.data(), source.size());
  bind_to(out.fd_.get(), address, cat(source.to_string(), " port ", v4::kClientPort));
  return out;
}

UdpSocket UdpSocket::open_ipv6(const Port& port) {
  UdpSocket out;
  out.link_index_ = port.identity().link_index;
  out.fd_ = open_socket(port, AF_INET6, SOCK_DGRAM, 0);
  bind_to_device(out.fd_.get(), port);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(v6::kClientPort);
  bind_to(out.fd_.get(), address, cat("port ", v6::kClientPort, " of ", port.ifname()));
  return out;
}

bool UdpSocket::send(const Ip& destination, std::uint16_t port,
                     std::span<const std::uint8_t> data) const {
  const auto send_to = [&](const auto& address) {
    return ::sendto(fd_.get(), data.data(), data.size(), 0,
                    reinterpret_cast<const sockaddr*>(&address),
                    sizeof address) == std::ssize(data);
  };
  if (destination.is_ipv4()) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    std::memcpy(&address.sin_addr, destination.data(), destination.size());
    return send_to(address);
  }
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  // For link-local destinations; others take no notice of it.
  address.sin6_scope_id = static_cast<std::uint32_t>(link_index_);
  std::memcpy(&address.sin6_addr, destination.data(), destination.size());
  return send_to(address);
}

std::optional<std::span<const std::uint8_t>> UdpSocket::receive(
    std::span<std::uint8_t> buffer) const {
  const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
  if (got < 0) return std::nullopt;
  return buffer.first(static_cast<std::size_t>(got));
}

}  // namespace cni::dhcp
