#include "plugins/ipam/dhcp/v4/pace.hpp"

#include <algorithm>

namespace cni::dhcp::v4 {
namespace {

constexpr Time kSecond{1000};
constexpr Time kMinute{60'000};
// The flags are in seconds; these keep arithmetic on what they say within its range, and a client
// from sending all three messages at once.
constexpr Time kLeastTimeout{10};
constexpr Time kMostTimeout = std::chrono::hours(24);

constexpr unsigned kShortPauses = 4;
constexpr Time kShortPause{2000};
constexpr Time kFirstLongPause{8000};
// T1 is the half of a lease, so of one of 8 minutes the half is left then.
constexpr Time kShortLeaseRest = std::chrono::minutes(4);

}  // namespace

Time later(Time at, Time span) { return span > kNever - at ? kNever : at + span; }

Pace::Pace(const Patience& patience, std::function<std::uint32_t()> random)
    : first_timeout_(std::clamp(patience.first_timeout, kLeastTimeout, kMostTimeout)),
      longest_pause_(std::clamp(patience.longest_pause, kSecond, kMostTimeout)),
      random_(std::move(random)) {}

Time Pace::up_to(Time most) const {
  constexpr double kValues = 4294967296.0;  // of the random number
  return Time(static_cast<Time::rep>(static_cast<double>(most.count()) * random_() / kValues));
}

Time Pace::around(Time most) const { return up_to(2 * most) - most; }

Time Pace::timeout(unsigned send) const {
  const Time whole = first_timeout_ * (1U << std::min(send, kSends - 1));
  return whole + around(std::min(whole / 10, kSecond));
}

Time Pace::pause(unsigned failures) const {
  Time whole = kShortPause;
  if (failures > kShortPauses) {
    whole = kFirstLongPause;
    for (unsigned i = kShortPauses + 1; i < failures && whole < longest_pause_; ++i) whole *= 2;
  }
  whole = std::min(whole, longest_pause_);
  return std::max(whole + around(kSecond), kSecond);
}

Time Pace::pause_after_conflict(unsigned conflicts) {
  return conflicts <= 1 ? kSecond : 10 * kSecond;
}

Time Pace::renewal(Time now, const Timing& timing) const {
  if (timing.renew_at == kNever) return timing.expires_at;
  const Time span = std::max(timing.renew_at - now, Time{0});
  const Time at = timing.renew_at - up_to(span / 20);
  return std::min(std::max(at, now + kSecond), timing.expires_at);
}

Time Pace::soon(Time now) const { return now + up_to(kSecond); }

Time next_request(Time now, Time end, const Timing& timing) {
  if (end == kNever) return now + kMinute;
  const bool is_short = timing.expires_at - timing.renew_at < kShortLeaseRest;
  return now + std::max((end - now) / 2, is_short ? kSecond : kMinute);
}

}  // namespace cni::dhcp::v4
