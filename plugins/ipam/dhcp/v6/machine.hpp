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

namespace cni::dhcp::v6 {

enum class State : std::uint8_t {
  kIdle,
  kSoliciting,
  kRequesting,
  kBound,
  kRenewing,
  kRebinding,
  kReleasing,
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
  Machine(Settings settings, std::function<std::uint32_t()> random);

  Actions start(Time now);
  Actions resume(Time now, Lease6 lease);
  Actions received(Time now, const Message& message);
  // Duplicate address detection found somebody else with the address: Decline, and start anew.
  Actions conflict_found(Time now);
  Actions timer(Time now);
  Actions renew(Time now);
  // One Release is sent; its Reply is not waited for. Idle afterwards.
  Actions release(Time now);

  std::optional<Time> deadline() const;
  State state() const;
  bool is_listening() const;
  const std::optional<Lease6>& lease() const;
};

}  // namespace cni::dhcp::v6
