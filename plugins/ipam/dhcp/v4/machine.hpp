// The client of RFC 2131, section 4.4: what is to be sent, and when, to get a lease and to keep it.
// No I/O and no clock: everything comes in by calls, and goes out as actions.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "plugins/ipam/dhcp/v4/message.hpp"
#include "plugins/ipam/dhcp/v4/pace.hpp"

namespace cni::dhcp::v4 {

enum class State : std::uint8_t {
  kIdle,        // nothing is asked for
  kSelecting,   // DISCOVER is sent
  kRequesting,  // REQUEST for an offer is sent
  kProbing,     // an address is granted; whether somebody else uses it is being found out
  kWaiting,     // before the next attempt, after a NAK, a conflict or no answer
  kBound,
  kRenewing,   // REQUEST to the server that granted it
  kRebinding,  // REQUEST to any server
};
std::string_view to_string(State state);

struct Settings {
  Mac mac;
  Bytes client_id;  // option 61, with its type octet
  std::vector<ProvidedOption> provide;
  Bytes request;
  bool broadcast = false;  // answers have to be broadcast
  Patience patience;
};

struct SendBroadcast {
  Message message;
};
// To the server, from the lease's address.
struct SendUnicast {
  Message message;
  Ip source;
  Ip destination;
};
// Ask the neighbours for the address; what comes back goes to conflict_found.
struct Probe {
  Ip address;
};
// There is a lease, or the present one has been prolonged. `before` is what it takes the place of.
struct Granted {
  Lease4 lease;
  std::optional<Lease4> before;
};
// The address may be used no longer: it has expired, or the server said so (NAK). A new one is
// being asked for.
struct Lost {
  Lease4 lease;
  std::string reason;
};
// There will be no lease. The machine is idle.
struct GaveUp {
  std::string reason;
};
using Action = std::variant<SendBroadcast, SendUnicast, Probe, Granted, Lost, GaveUp>;
using Actions = std::vector<Action>;

class Machine {
 public:
  // `random` is uniformly distributed over all values.
  Machine(Settings settings, std::function<std::uint32_t()> random);

  // Asks for a lease. Without one within patience.give_up_after there is a GaveUp; an address that
  // is granted by then is still probed to the end. Does nothing unless the machine is idle.
  Actions start(Time now);
  // Goes on with a lease that an earlier process got, whatever the machine did before. One that
  // has expired meanwhile is Lost, and a new one is asked for until there is one.
  Actions resume(Time now, Lease4 lease);
  // Does nothing for what is malformed, or does not answer what this machine asked.
  Actions received(Time now, const Message& message);
  // Somebody else uses the address that was probed. Does nothing once that is granted.
  Actions conflict_found(Time now);
  // To be called when `deadline` has come; earlier calls do nothing.
  Actions timer(Time now);
  // Asks the server to prolong the lease now. Does nothing without a lease, and within a second
  // after an earlier request that is not answered yet.
  Actions renew(Time now);
  // Gives the lease back. Idle afterwards.
  Actions release(Time now);

  // Absent if there is nothing to wait for: idle, or bound to a lease that never ends.
  std::optional<Time> deadline() const;
  State state() const { return state_; }
  // Whether messages are awaited (in kProbing those of neighbours, in kWaiting after a conflict the
  // ACK for the address that is to be declined); nothing needs to listen otherwise.
  bool is_listening() const;
  const std::optional<Lease4>& lease() const { return lease_; }

 private:
  // What the messages of one exchange have in common.
  struct Exchange {
    std::uint32_t xid = 0;
    Time began{0};
    Time last_sent{0};
    std::uint16_t secs = 0;
    unsigned sends = 0;
    std::size_t early_repeats = 0;  // that were begun
  };
  struct Offer {
    Ip address;
    Ip server;
  };
  // What GaveUp tells.
  struct Tally {
    unsigned discovers = 0;
    unsigned requests = 0;
    unsigned offers = 0;
    unsigned acks = 0;
    unsigned naks = 0;
    std::string last_failure;
  };

  bool may_give_up() const;
  std::uint16_t seconds_tried(Time now) const;

  // Attempts to get a lease.
  void reset_attempts(Time now, Time give_up_at);
  void begin_attempt(Time now, Actions& out);
  void send_discover(Time now, Actions& out);
  void send_request(Time now, Actions& out);
  void count_send(Time now);
  void fail(Time now, std::string reason);
  void wait(Time now, Time pause);
  void give_up(Time now, Actions& out);

  // Their answers.
  void offered(Time now, const Message& message, const Ip& server, Actions& out);
  void answered(Time now, const Message& message, MessageType type, Actions& out);
  void acknowledged(Time now, const Message& ack, Actions& out);
  void answered_too_late(const Message& message, MessageType type, const Ip& server, Actions& out);
  void probe(Time now, Actions& out);

  // The lease.
  void grant(Time now, Lease4 lease, Actions& out);
  void lose(Time now, std::string reason, Actions& out);
  void ask_for_more_time(Time now, Actions& out);
  void more_time_answered(Time now, const Message& message, MessageType type, const Ip& server,
                          Actions& out);
  void forget();

  Settings settings_;
  Pace pace_;
  State state_ = State::kIdle;
  Time next_ = kNever;  // when the state has something to do
  std::optional<Lease4> lease_;

  Time started_{0};
  Time give_up_at_ = kNever;
  unsigned failures_ = 0;   // exchanges, since the last lease
  unsigned conflicts_ = 0;  // likewise
  Tally tally_;
  Exchange exchange_;
  std::optional<Offer> offer_;  // chosen; in kWaiting one that is to be declined once it is granted
  Lease4 probed_;               // in kProbing: granted if nobody objects
  Time probe_ends_{0};
};

}  // namespace cni::dhcp::v4
