#include "plugins/ipam/dhcp/daemon/client4.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <variant>

#include "pkg/types/error.hpp"
#include "plugins/ipam/dhcp/v4/frame.hpp"

namespace cni::dhcp {
namespace {

// More than an Ethernet frame without jumbo size; what is longer is cut and no message any more.
constexpr std::size_t kLongestFrame = 4096;
// Frames read before others get their turn.
constexpr int kMostAtOnce = 32;

const Ip& everybody() {
  static const Ip kBroadcast = Ip::parse("255.255.255.255").value_or(Ip());
  return kBroadcast;
}

}  // namespace

Client4::Client4(Loop& loop, v4::Settings settings, std::function<std::uint32_t()> random,
                 Owner owner)
    : loop_(loop),
      mac_(settings.mac),
      machine_(std::move(settings), std::move(random)),
      owner_(std::move(owner)) {}

void Client4::apply(const v4::Actions& actions) {
  for (const v4::Action& action : actions) {
    // What cannot be sent is sent again by the machine's timer.
    try {
      std::visit([this](const auto& what) { carry_out(what); }, action);
    } catch (const Error& error) {
      owner_.log(error.what());
    }
  }
  settle();
}

void Client4::settle() {
  if (!machine_.is_listening()) {
    packets_watch_.reset();
    packets_.reset();
    udp_.reset();
  }
  if (arp_ && machine_.state() != v4::State::kProbing &&
      machine_.state() != v4::State::kRequesting) {
    arp_watch_.reset();
    arp_.reset();
  }
  timer_.reset();
  const std::optional<Time> deadline = machine_.deadline();
  if (!deadline) return;
  // Never at once: whatever the machine says, others get their turn.
  timer_ = loop_.at(std::max(*deadline, now() + Time(1)), [this] { apply(machine_.timer(now())); });
}

void Client4::listen(const Port& port) {
  if (packets_ || !machine_.is_listening()) return;
  packets_ = PacketSocket::open(port, PacketSocket::Kind::kDhcp);
  packets_watch_ = loop_.watch(packets_->fd(), EPOLLIN, [this](std::uint32_t) { receive(); });
}

void Client4::send_frame(const Port& port, std::span<const std::uint8_t> frame) {
  listen(port);
  if (packets_) {
    packets_->send(frame);
  } else {
    PacketSocket::open(port, PacketSocket::Kind::kDhcp).send(frame);
  }
}

void Client4::carry_out(const v4::SendBroadcast& action) {
  const std::optional<Port> port = owner_.port();
  if (!port) return;
  // ciaddr is 0.0.0.0 unless there is an address to send from.
  send_frame(*port, v4::encode_frame(mac_, action.message.ciaddr, everybody(),
                                     v4::encode(action.message)));
}

bool Client4::send_from_lease(const Port& port, const v4::SendUnicast& action) {
  try {
    udp_.reset();
    udp_ = UdpSocket::open_ipv4(port, action.source);
    return udp_->send(action.destination, v4::kServerPort, v4::encode(action.message));
  } catch (const Error&) {
    return false;  // the address is not on the interface: there is another way
  }
}

void Client4::release() {
  const std::optional<Lease4>& lease = machine_.lease();
  is_released_on_link_ = lease && lease->address.contains(lease->server);
  apply(machine_.release(now()));
  is_released_on_link_ = false;
}

void Client4::carry_out(const v4::SendUnicast& action) {
  const std::optional<Port> port = owner_.port();
  if (!port) return;
  listen(*port);
  // The interface is often removed right after the release: nobody would be there to learn the
  // server's link-layer address, which a frame to everybody does without.
  if (!is_released_on_link_ && send_from_lease(*port, action)) return;
  send_frame(*port,
             v4::encode_frame(mac_, action.source, action.destination, v4::encode(action.message)));
}

void Client4::carry_out(const v4::Probe& action) {
  const std::optional<Port> port = owner_.port();
  if (!port) return;
  probed_ = action.address;
  if (!arp_) {
    arp_ = PacketSocket::open(*port, PacketSocket::Kind::kArp);
    arp_watch_ = loop_.watch(arp_->fd(), EPOLLIN, [this](std::uint32_t) { receive_arp(); });
  }
  arp_->send(v4::encode_arp_probe(mac_, action.address));
}

void Client4::receive() {
  std::array<std::uint8_t, kLongestFrame> buffer{};
  // What one frame does may close the socket.
  for (int i = 0; i < kMostAtOnce && packets_; ++i) {
    const auto frame = packets_->receive(buffer);
    if (!frame) return;
    const auto payload = v4::find_payload(frame->data, frame->checksum_is_known);
    if (!payload) continue;
    const std::optional<v4::Message> message = v4::decode(*payload);
    if (message) apply(machine_.received(now(), *message));
  }
}

void Client4::receive_arp() {
  std::array<std::uint8_t, kLongestFrame> buffer{};
  for (int i = 0; i < kMostAtOnce && arp_; ++i) {
    const auto frame = arp_->receive(buffer);
    if (!frame) return;
    if (v4::is_conflict(frame->data, mac_, probed_)) apply(machine_.conflict_found(now()));
  }
}

}  // namespace cni::dhcp
