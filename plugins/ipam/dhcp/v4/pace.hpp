// How long the client waits: for answers, between attempts, and before it asks for more time. No
// I/O and no clock.
#pragma once

#include <cstdint>
#include <functional>

#include "plugins/ipam/dhcp/lease.hpp"

namespace cni::dhcp::v4 {

// How long and how often, as the daemon's flags say.
struct Patience {
  Time first_timeout{10'000};   // -timeout: of the first message; doubles with each of the three
  Time longest_pause{62'000};   // -resendmax: between two attempts
  Time give_up_after{208'000};  // -resendtimeout: of all attempts to get a lease
  Time probe_time{0};           // how long answers to an ARP probe are waited for; 0: no probe
};

// How often a message is sent before an exchange has failed.
inline constexpr unsigned kSends = 3;

// `at` plus `span`; kNever where that is beyond what can be said.
Time later(Time at, Time span);

class Pace {
 public:
  Pace(const Patience& patience, std::function<std::uint32_t()> random);

  std::uint32_t random() const { return random_(); }
  // For what the send of that number, from 0, is waited: T, 2T, 4T, each give or take a tenth, at
  // most a second.
  Time timeout(unsigned send) const;
  // After so many exchanges that failed, at least 1: four times 2 s, then 8, 16, 32 s and so on up
  // to the longest pause, each give or take a second; never less than a second.
  Time pause(unsigned failures) const;
  // After so many conflicts, at least 1: a second, then the 10 s of RFC 2131 3.1 (5).
  static Time pause_after_conflict(unsigned conflicts);
  // When a lease is renewed: up to a twentieth of the time before T1, so that what started together
  // does not renew together; not in less than a second, unless it ends before that.
  Time renewal(Time now, const Timing& timing) const;
  // Up to a second from now: so that a thousand leases taken up at once are not renewed at once.
  Time soon(Time now) const;

 private:
  // Uniform from 0 to `most`, and from -`most` to `most`.
  Time up_to(Time most) const;
  Time around(Time most) const;

  Time first_timeout_;
  Time longest_pause_;
  std::function<std::uint32_t()> random_;
};

// When a REQUEST for more time is repeated: after half of what is left until `end`, but at least 60
// seconds (RFC 2131 4.4.5) - or one, for leases of less than 8 minutes. An `end` that never comes:
// 60 seconds.
Time next_request(Time now, Time end, const Timing& timing);

}  // namespace cni::dhcp::v4
