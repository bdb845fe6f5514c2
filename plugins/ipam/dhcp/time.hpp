// Time as leases count it.
#pragma once

#include <chrono>

namespace cni::dhcp {

// Since the machine started, also while it slept (CLOCK_BOOTTIME): a lease runs on meanwhile.
using Time = std::chrono::milliseconds;

// What never comes: the expiry of an infinite lease (RFC 2131 3.3 and RFC 8415 7.7: 0xffffffff).
inline constexpr Time kNever = Time::max();

Time now();

}  // namespace cni::dhcp
