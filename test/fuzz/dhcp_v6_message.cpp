// DHCPv6 messages as anybody on the link can send them: read, written and read again, and given to
// a client in each of its states. The first octet of an input says in which, the second whether the
// identifiers are made to fit, so that more than their comparison is reached.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "plugins/ipam/dhcp/v6/machine.hpp"

namespace {

using namespace cni::dhcp;
using namespace cni::dhcp::v6;

void require(bool holds) {
  if (!holds) std::abort();
}

class Client {
 public:
  explicit Client(std::uint8_t seed) : random_(seed * 0x01010101U) {}

  void get_to(State state);
  void receive(Message message, std::uint8_t fit);
  void live_on();

 private:
  void check(const Actions& actions);
  Message granting() const;

  std::uint32_t random_;
  Time now_{1'000'000};
  Machine machine_{Settings{.client_id = {0, 3, 0, 1, 2}, .iaid = 7},
                   [this] { return random_ = random_ * 1664525U + 1013904223U; }};
  Message last_;
};

void Client::check(const Actions& actions) {
  require(actions.size() <= 3);
  for (const Action& action : actions) {
    if (const auto* send = std::get_if<Send>(&action)) {
      last_ = send->message;
      const auto decoded = decode(encode(last_));
      require(decoded && *decoded == last_);
    } else if (const auto* granted = std::get_if<Granted>(&action)) {
      const Timing& timing = granted->lease.timing;
      require(granted->lease.address.is_global_unicast());
      require(timing.renew_at > now_ && timing.renew_at <= timing.rebind_at);
      require(timing.rebind_at <= timing.expires_at);
      require(machine_.lease() == granted->lease);
    } else if (const auto* gave_up = std::get_if<GaveUp>(&action)) {
      require(gave_up->reason.size() < 1000 && machine_.state() == State::kIdle);
    }
  }
  // Whoever waits for the deadline never waits for what is over.
  require(!machine_.deadline() || *machine_.deadline() > now_);
}

Message Client::granting() const {
  Message out;
  out.type = MessageType::kReply;
  out.transaction = last_.transaction;
  out.client_id = last_.client_id;
  out.server_id = {0, 2, 9};
  out.rapid_commit = true;
  out.ia_na = {{.iaid = 7, .t1 = 0, .t2 = 0, .addresses = {}, .status = {}}};
  out.ia_na[0].addresses = {{.address = cni::Ip::parse("2001:db8::7").value(),
                             .preferred = 100,
                             .valid = 200,
                             .status = {}}};
  return out;
}

void Client::get_to(State state) {
  if (state == State::kIdle) return;
  check(machine_.start(now_));
  if (state == State::kSoliciting) return;
  Message answer = granting();
  if (state == State::kRequesting) {
    answer.type = MessageType::kAdvertise;
    answer.preference = 255;
  }
  check(machine_.received(now_, answer));
  if (state == State::kRenewing) check(machine_.renew(now_));
  if (state == State::kRebinding) {
    now_ += std::chrono::seconds(80);
    check(machine_.timer(now_));
  }
  require(machine_.state() == state);
}

void Client::receive(Message message, std::uint8_t fit) {
  if ((fit & 1U) != 0) message.transaction = last_.transaction;
  if ((fit & 2U) != 0) message.client_id = last_.client_id;
  if ((fit & 4U) != 0) message.server_id = {0, 2, 9};
  if ((fit & 8U) != 0 && !message.ia_na.empty()) message.ia_na[0].iaid = 7;
  if ((fit & 16U) != 0) message.type = MessageType::kReply;
  if ((fit & 32U) != 0) message.type = MessageType::kAdvertise;
  check(machine_.received(now_, message));
  // Once more, as after a repetition.
  now_ += Time(10);
  check(machine_.timer(now_));
  check(machine_.received(now_, message));
}

void Client::live_on() {
  for (int i = 0; i < 8 && machine_.deadline(); ++i) {
    now_ = *machine_.deadline();
    check(machine_.timer(now_));
  }
  check(machine_.conflict_found(now_));
  check(machine_.release(now_));
  require(machine_.state() == State::kIdle);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto message = decode(std::span(data, size).subspan(2));
  if (!message) return 0;
  const auto again = decode(encode(*message));
  require(again && *again == *message);
  Client client(data[0]);
  client.get_to(static_cast<State>(data[0] % 6U));
  client.receive(*message, data[1]);
  client.live_on();
  return 0;
}
