// How long an answer is waited for before a message is sent again (RFC 8415 15).
#pragma once

#include <cstdint>

#include "plugins/ipam/dhcp/time.hpp"

namespace cni::dhcp::v6 {

// RFC 8415 7.6. What ends an exchange as a whole (MRD) is the machine's affair.
struct Pace {
  Time first;               // IRT
  Time longest;             // MRT
  unsigned most_sends = 0;  // MRC; 0: without limit
};

inline constexpr Time kSolMaxRt{3'600'000};
inline constexpr Pace kRequestPace{Time(1'000), Time(30'000), 10};
inline constexpr Pace kRenewPace{Time(10'000), Time(600'000), 0};
inline constexpr Pace kRebindPace{Time(10'000), Time(600'000), 0};
// SOL_MAX_RT can be changed by a server (option 82).
inline Pace solicit_pace(Time longest) { return {Time(1'000), longest, 0}; }

// The timeout after `previous`, or the first one if that is 0. `random` stands for RAND: 0 for
// -0.1, the greatest value for 0.1.
Time next_timeout(const Pace& pace, Time previous, std::uint32_t random);
// The first of a Solicit, whose RAND is above 0 so that Advertise messages are collected for at
// least IRT (RFC 8415 18.2.1).
Time first_solicit_timeout(const Pace& pace, std::uint32_t random);

}  // namespace cni::dhcp::v6
