// A DHCPv4 machine and what a server would say to it.
#pragma once

#include "pkg/types/error.hpp"
#include "plugins/ipam/dhcp/v4/machine.hpp"
#include "test/support/catch.hpp"

namespace cni::dhcp::v4::test {

inline Ip ip(const char* text) { return *Ip::parse(text); }

inline Bytes octets(const Ip& address) { return {address.data(), address.data() + 4}; }
inline Bytes octets(std::uint32_t value) {
  return {static_cast<std::uint8_t>(value >> 24U), static_cast<std::uint8_t>(value >> 16U),
          static_cast<std::uint8_t>(value >> 8U), static_cast<std::uint8_t>(value)};
}
inline Bytes bytes(std::string_view text) { return {text.begin(), text.end()}; }

inline const Mac kMac = *Mac::parse("02:00:00:00:00:01");
inline const Ip kServer = ip("192.0.2.1");
inline const Ip kOtherServer = ip("192.0.2.2");
inline const Ip kAddress = ip("192.0.2.5");
inline constexpr std::uint32_t kLeaseSeconds = 8000;
inline constexpr Time kStart{1'000'000};

inline Time seconds(std::int64_t value) { return std::chrono::seconds(value); }

inline Settings settings() {
  Settings out;
  out.mac = kMac;
  out.client_id = {0, 'i', 'd'};
  return out;
}

// The middle of the range: nothing is moved from where it belongs, but each transaction is another.
inline std::function<std::uint32_t()> even() {
  return [value = 0x7fffffffU]() mutable { return ++value; };
}

struct Client {
  explicit Client(Settings with = settings(), std::function<std::uint32_t()> random = even())
      : machine(std::move(with), std::move(random)) {}

  Machine machine;
  Time now = kStart;
  Message sent;  // the last one

  Actions seen(Actions actions) {
    for (const Action& action : actions) {
      if (const auto* out = std::get_if<SendBroadcast>(&action)) sent = out->message;
      if (const auto* out = std::get_if<SendUnicast>(&action)) sent = out->message;
    }
    return actions;
  }
  Actions start() { return seen(machine.start(now)); }
  Actions resume(Lease4 lease) { return seen(machine.resume(now, std::move(lease))); }
  Actions hear(const Message& message) { return seen(machine.received(now, message)); }
  Actions conflict() { return seen(machine.conflict_found(now)); }
  Actions renew() { return seen(machine.renew(now)); }
  Actions release() { return seen(machine.release(now)); }
  Actions timer() { return seen(machine.timer(now)); }
  // Waits for what comes next.
  Actions wait() {
    REQUIRE(machine.deadline());
    now = *machine.deadline();
    return timer();
  }

  // What the server says to the last message.
  Message reply(MessageType type, const Ip& server = kServer) const {
    Message out;
    out.is_reply = true;
    out.xid = sent.xid;
    out.chaddr = kMac;
    out.options[option::kMessageType] = {static_cast<std::uint8_t>(type)};
    out.options[option::kServerId] = octets(server);
    if (type == MessageType::kNak) return out;
    out.yiaddr = kAddress;
    out.options[option::kSubnetMask] = {255, 255, 255, 0};
    out.options[option::kLeaseTime] = octets(kLeaseSeconds);
    return out;
  }
  Message offer(const Ip& server = kServer) const { return reply(MessageType::kOffer, server); }
  Message ack(const Ip& server = kServer) const { return reply(MessageType::kAck, server); }
  Message nak(const Ip& server = kServer) const { return reply(MessageType::kNak, server); }

  void request() {
    start();
    hear(offer());
    REQUIRE(machine.state() == State::kRequesting);
  }
  void bind() {
    request();
    hear(ack());
    REQUIRE(machine.state() == State::kBound);
  }
  void bind(std::uint32_t lease) {
    request();
    Message message = ack();
    message.options[option::kLeaseTime] = octets(lease);
    hear(message);
    REQUIRE(machine.state() == State::kBound);
  }
  // Waits until a state comes, and says what happened last.
  Actions wait_for(State state) {
    Actions out;
    for (int i = 0; i < 100 && machine.state() != state; ++i) out = wait();
    REQUIRE(machine.state() == state);
    return out;
  }
};

template <class T>
const T& only(const Actions& actions) {
  REQUIRE(actions.size() == 1);
  REQUIRE(std::holds_alternative<T>(actions[0]));
  return std::get<T>(actions[0]);
}

inline std::vector<int> codes(const Message& message) {
  std::vector<int> out;
  for (const auto& [code, value] : message.options) out.push_back(code);
  return out;
}

inline Lease4 lease_from(Time now, std::uint32_t length = kLeaseSeconds) {
  Lease4 out;
  out.address = {kAddress, 24};
  out.server = kServer;
  out.timing = {.renew_at = now + seconds(length) / 2,
                .rebind_at = now + seconds(length) * 7 / 8,
                .expires_at = now + seconds(length)};
  return out;
}

}  // namespace cni::dhcp::v4::test
