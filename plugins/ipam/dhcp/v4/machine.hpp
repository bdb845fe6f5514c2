// The client of RFC 2131, section 4.4: what is to be sent, and when, to get a lease and to keep it.
// No I/O and no clock: everything comes in by calls, and goes out as actions.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "plugins/ipam/dhcp/v4/message.hpp"

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

// How long and how often, as the daemon's flags say.
struct Patience {
  Time first_timeout{10'000};   // -timeout: of the first message; doubles with each of the three
  Time longest_pause{62'000};   // -resendmax: between two attempts
  Time give_up_after{208'000};  // -resendtimeout: of all attempts to get a lease
  Time probe_time{0};           // how long answers to an ARP probe are waited for; 0: no probe
};

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

  // Asks for a lease. Without an answer within patience.give_up_after there is a GaveUp.
  Actions start(Time now);
  // Goes on with a lease that an earlier process got.
  Actions resume(Time now, Lease4 lease);
  Actions received(Time now, const Message& message);
  // Somebody else uses the address that was probed.
  Actions conflict_found(Time now);
  // To be called when `deadline` has come; earlier calls do nothing.
  Actions timer(Time now);
  // Asks the server to prolong the lease now.
  Actions renew(Time now);
  // Gives the lease back. Idle afterwards.
  Actions release(Time now);

  std::optional<Time> deadline() const;
  State state() const;
  // Whether messages are awaited; nothing needs to listen otherwise.
  bool is_listening() const;
  const std::optional<Lease4>& lease() const;
};

}  // namespace cni::dhcp::v4
