// The client of RFC 8415 for one address: Solicit to Reply, Renew, Rebind, Release, Decline. No I/O
// and no clock, as v4/machine.hpp.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "plugins/ipam/dhcp/v6/message.hpp"
#include "plugins/ipam/dhcp/v6/offer.hpp"
#include "plugins/ipam/dhcp/v6/retransmission.hpp"

namespace cni::dhcp::v6 {

enum class State : std::uint8_t {
  kIdle,
  kSoliciting,
  kRequesting,
  kBound,
  kRenewing,
  kRebinding,
};
std::string_view to_string(State state);

struct Settings {
  Bytes client_id;  // DUID
  std::uint32_t iaid = 0;
  Time give_up_after{208'000};  // of all attempts to get a lease
};

// To all servers (ff02::1:2, port 547), from the interface's link-local address, port 546.
struct Send {
  Message message;
};
struct Granted {
  Lease6 lease;
  std::optional<Lease6> before;
};
// The address may be used no longer; a new one is being asked for.
struct Lost {
  Lease6 lease;
  std::string reason;
};
struct GaveUp {
  std::string reason;
};
using Action = std::variant<Send, Granted, Lost, GaveUp>;
using Actions = std::vector<Action>;

class Machine {
 public:
  // `random` is uniformly distributed over all values.
  Machine(Settings settings, std::function<std::uint32_t()> random);

  // Asks for a lease. Without one within settings.give_up_after there is a GaveUp. Nothing if there
  // is one already; while a new one is being asked for after a Lost, limits that from now on, and
  // has it asked for within two seconds.
  Actions start(Time now);
  // Goes on with a lease that an earlier process got. Its identifiers are used for its life.
  Actions resume(Time now, Lease6 lease);
  // Whatever is no answer to what was sent last does nothing.
  Actions received(Time now, const Message& message);
  // Duplicate address detection found somebody else with the address: Decline, and start anew.
  Actions conflict_found(Time now);
  // To be called when `deadline` has come; earlier calls do nothing.
  Actions timer(Time now);
  // Asks for the lease to be prolonged now. Nothing without one, or if that is going on.
  Actions renew(Time now);
  // One Release is sent, for what is leased or has been requested; its Reply is not waited for.
  // Idle afterwards.
  Actions release(Time now);

  std::optional<Time> deadline() const;
  State state() const { return state_; }
  // Whether an answer is awaited: from the first message of an exchange to its end.
  bool is_listening() const { return exchange_.sends != 0; }
  // Also while another one is asked for because the server knows nothing of it.
  const std::optional<Lease6>& lease() const { return lease_; }

 private:
  // A message and its repetitions: all of one kind, with one transaction id. None if nothing has
  // been sent yet, or nothing is to be sent.
  struct Exchange {
    std::uint32_t transaction = 0;
    Time began{0};
    Time timeout{0};
    unsigned sends = 0;
  };
  // The best Advertise so far.
  struct Choice {
    Bytes server_id;
    Ip address;
    std::uint8_t preference = 0;
    Time take_at{0};
  };

  void solicit(Time now, Time pause, Actions& actions);
  void solicit_after_failure(Time now, Actions& actions);
  void request(Time now, Bytes server_id, const Ip& address, Actions& actions);
  void prolong(Time now, Actions& actions);
  void enter(State state, Time next_at);
  void transmit(Time now, Actions& actions);
  Pace pace() const;
  Message message(MessageType type, const std::optional<Ip>& address) const;
  Message next_message(Time now) const;

  bool is_ours(const Message& message) const;
  void advertised(Time now, const Message& message, Actions& actions);
  void replied_to_solicit(Time now, const Message& message, Actions& actions);
  void replied_to_request(Time now, const Message& message, Actions& actions);
  void replied_to_renewal(Time now, const Message& message, Actions& actions);
  void no_binding(Time now, Actions& actions);
  void grant(Lease6 lease, Actions& actions);
  void lose(std::string reason, Actions& actions);
  bool expire(Time now, Actions& actions);
  void give_up(Actions& actions);
  void become_idle();
  Offer offer_of(const Message& message) const;
  void note(const Message& message, const StatusCode& status);
  void timer_of_state(Time now, Actions& actions);

  Settings settings_;
  std::function<std::uint32_t()> random_;
  State state_ = State::kIdle;
  std::optional<Lease6> lease_;
  // The identifiers in use: those of the lease, or else the settings'.
  Bytes client_id_;
  std::uint32_t iaid_ = 0;

  Exchange exchange_;
  Time next_at_ = kNever;  // of the next message, whatever the state
  std::optional<Choice> choice_;
  Bytes server_id_;  // of the server that the Request is for
  Ip requested_;
  Time sol_max_rt_ = kSolMaxRt;
  unsigned failures_ = 0;  // since a lease was prolonged; each doubles the pause

  std::optional<Time> give_up_at_;
  // For the reason of a GaveUp.
  unsigned solicits_ = 0;
  unsigned requests_ = 0;
  std::string last_failure_;
};

}  // namespace cni::dhcp::v6
