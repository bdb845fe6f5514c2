// A DHCPv6 client on a clock of the test's own, and the answers of a server.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "plugins/ipam/dhcp/v6/machine.hpp"
#include "test/support/catch.hpp"

namespace cni::dhcp::v6::test {

using std::chrono::seconds;

inline constexpr std::uint32_t kNoJitter = 0x80000000U;
inline constexpr std::uint32_t kIaid = 77;

inline Ip ip(std::string_view text) { return Ip::parse(text).value(); }
inline Bytes bytes(std::string_view text) { return {text.begin(), text.end()}; }

struct Client {
  Time now{1'000'000};
  std::uint32_t random = kNoJitter;
  Machine machine{Settings{.client_id = bytes("client"), .iaid = kIaid}, [this] { return random; }};
  Actions actions;  // of the last call
  std::vector<Message> sent;

  Client() = default;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  const Actions& take(Actions done) {
    actions = std::move(done);
    for (const Action& action : actions) {
      if (const auto* send = std::get_if<Send>(&action)) sent.push_back(send->message);
    }
    return actions;
  }
  const Actions& start() { return take(machine.start(now)); }
  const Actions& receive(const Message& answer) { return take(machine.received(now, answer)); }
  // Waits for the deadline.
  const Actions& wait() {
    now = machine.deadline().value();
    return take(machine.timer(now));
  }
  const Actions& wait_until(Time at) {
    now = at;
    return take(machine.timer(now));
  }
  // Of the last call; null if there is none.
  template <class T>
  const T* find() const {
    for (const Action& action : actions) {
      if (const auto* found = std::get_if<T>(&action)) return found;
    }
    return nullptr;
  }
  // The type of the one message that the last call sent.
  MessageType type_sent() const {
    REQUIRE(find<Send>() != nullptr);
    return find<Send>()->message.type;
  }
  std::string reason() const {
    if (const auto* lost = find<Lost>()) return lost->reason;
    if (const auto* gave_up = find<GaveUp>()) return gave_up->reason;
    return {};
  }
};

// What a server says to the last message of a client.
inline Message answer(const Client& client, MessageType type, std::string_view address = {}) {
  Message out;
  out.type = type;
  out.transaction = client.sent.back().transaction;
  out.client_id = client.sent.back().client_id;
  out.server_id = bytes("server");
  IaNa ia{.iaid = client.sent.back().ia_na.at(0).iaid,
          .t1 = 50,
          .t2 = 80,
          .addresses = {},
          .status = {}};
  if (!address.empty()) {
    ia.addresses = {{.address = ip(address), .preferred = 100, .valid = 200, .status = {}}};
  }
  out.ia_na.push_back(std::move(ia));
  return out;
}

inline Message advertise(const Client& client, std::string_view address = "2001:db8::7") {
  return answer(client, MessageType::kAdvertise, address);
}

inline Message reply(const Client& client, std::string_view address = "2001:db8::7") {
  return answer(client, MessageType::kReply, address);
}

inline Message failing(const Client& client, Status status, std::string text = {}) {
  Message out = reply(client, {});
  out.ia_na[0].status = StatusCode{status, std::move(text)};
  return out;
}

// Solicits, and has got an Advertise with the best preference.
inline void get_to_requesting(Client& client) {
  client.start();
  Message offer = advertise(client);
  offer.preference = 255;
  client.receive(offer);
  REQUIRE(client.machine.state() == State::kRequesting);
}

// Has a lease of 2001:db8::7 since client.now.
inline void get_to_bound(Client& client) {
  get_to_requesting(client);
  client.receive(reply(client));
  REQUIRE(client.machine.state() == State::kBound);
}

inline void get_to_renewing(Client& client) {
  get_to_bound(client);
  client.wait();
  REQUIRE(client.machine.state() == State::kRenewing);
}

inline void get_to_rebinding(Client& client) {
  get_to_bound(client);
  client.wait_until(client.now + seconds(80));
  REQUIRE(client.machine.state() == State::kRebinding);
}

// What `reply` grants when it comes at this time.
inline Lease6 lease_since(Time at) {
  Lease6 out;
  out.address = ip("2001:db8::7");
  out.iaid = kIaid;
  out.client_id = bytes("client");
  out.server_id = bytes("server");
  out.preferred_until = at + seconds(100);
  out.timing = {at + seconds(50), at + seconds(80), at + seconds(200)};
  return out;
}

}  // namespace cni::dhcp::v6::test
