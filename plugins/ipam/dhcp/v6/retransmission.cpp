#include "plugins/ipam/dhcp/v6/retransmission.hpp"

#include <algorithm>

namespace cni::dhcp::v6 {
namespace {

constexpr std::int64_t kHalf = std::int64_t{1} << 31U;

// RAND * base. No base is above twice a day in milliseconds, so that the product fits.
Time jitter(Time base, std::uint32_t random) {
  return Time(base.count() * (static_cast<std::int64_t>(random) - kHalf) / (kHalf * 10));
}

}  // namespace

Time next_timeout(const Pace& pace, Time previous, std::uint32_t random) {
  if (previous == Time(0)) return pace.first + jitter(pace.first, random);
  const Time doubled = 2 * previous + jitter(previous, random);
  if (doubled > pace.longest) return pace.longest + jitter(pace.longest, random);
  return doubled;
}

Time first_solicit_timeout(const Pace& pace, std::uint32_t random) {
  const Time positive(pace.first.count() * static_cast<std::int64_t>(random) / (kHalf * 20));
  return pace.first + std::max(positive, Time(1));
}

}  // namespace cni::dhcp::v6
