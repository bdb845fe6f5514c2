// What a DHCPv4 server may send: decoding is total, what was decoded survives being encoded, and
// the client's machine takes it in any state.
#include <cstdlib>

#include "pkg/types/error.hpp"
#include "plugins/ipam/dhcp/v4/machine.hpp"
#include "plugins/ipam/dhcp/v4/message.hpp"

using namespace cni;
using namespace cni::dhcp;
using namespace cni::dhcp::v4;

namespace {

constexpr std::uint32_t kXid = 0x01020304;
const std::uint8_t kMac[6] = {2, 0, 0, 0, 0, 1};

void require(bool holds) {
  if (!holds) std::abort();
}

Ip ip(const char* text) { return *Ip::parse(text); }

Lease4 lease_until(Time expires) {
  Lease4 out;
  out.address = {ip("192.0.2.5"), 24};
  out.server = ip("192.0.2.1");
  out.timing = {.renew_at = expires / 2, .rebind_at = expires * 3 / 4, .expires_at = expires};
  return out;
}

Message reply(MessageType type) {
  Message out;
  out.is_reply = true;
  out.xid = kXid;
  out.chaddr = Mac::from_bytes(kMac, sizeof kMac);
  out.yiaddr = ip("192.0.2.5");
  out.options[option::kMessageType] = {static_cast<std::uint8_t>(type)};
  out.options[option::kServerId] = {192, 0, 2, 1};
  out.options[option::kSubnetMask] = {255, 255, 255, 0};
  return out;
}

void check(const Machine& machine, const Actions& actions) {
  require(actions.size() <= 2);
  require(machine.state() != State::kBound || machine.lease().has_value());
  require(machine.state() == State::kIdle || machine.state() == State::kBound ||
          machine.deadline().has_value());
}

// Whatever comes first, the machine stays one that the clock alone can carry on.
void feed(Machine& machine, Time now, const Message& message) {
  check(machine, machine.received(now, message));
  check(machine, machine.received(now, message));
  for (int i = 0; i < 4 && machine.deadline(); ++i) {
    const Time at = *machine.deadline();
    check(machine, machine.timer(at));
    check(machine, machine.received(at, message));
  }
  check(machine, machine.conflict_found(now));
  check(machine, machine.release(now));
  require(machine.state() == State::kIdle && !machine.deadline());
}

void feed_in_all_states(Message message) {
  // Few inputs would guess these.
  message.is_reply = true;
  message.xid = kXid;
  message.chaddr = Mac::from_bytes(kMac, sizeof kMac);
  for (int state = 0; state < 7; ++state) {
    Settings settings;
    settings.mac = message.chaddr;
    if (state % 2 == 1) settings.patience.probe_time = Time{100};
    Machine machine(settings, [] { return kXid; });
    Time now{1000};
    if (state < 3) check(machine, machine.start(now));
    if (state == 1 || state == 2) check(machine, machine.received(now, reply(MessageType::kOffer)));
    if (state == 2) check(machine, machine.received(now, reply(MessageType::kAck)));
    if (state == 3) {
      check(machine, machine.start(now));
      check(machine, machine.received(now, reply(MessageType::kOffer)));
      check(machine, machine.received(now, reply(MessageType::kAck)));
    }
    if (state > 3) {
      check(machine, machine.resume(now, lease_until(Time{10'000})));
      if (state == 5) now = Time{5'500};
      if (state == 6) now = Time{8'000};
      check(machine, machine.timer(now));
    }
    feed(machine, now, message);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto message = decode({data, size});
  if (!message) return 0;
  const auto again = decode(encode(*message));
  require(again && *again == *message);
  try {
    const Lease4 lease = read_lease(*message, Time{1000});
    require(lease.address.length >= 1 && lease.address.length <= 32);
    require(lease.timing.renew_at <= lease.timing.rebind_at);
    require(lease.timing.rebind_at <= lease.timing.expires_at);
    for (const std::string& domain : lease.search) require(domain.size() <= 253);
  } catch (const Error& error) {
    require(!error.msg.empty());
  }
  feed_in_all_states(*message);
  return 0;
}
