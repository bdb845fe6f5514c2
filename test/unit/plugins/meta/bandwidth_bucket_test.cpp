// How large the buckets are that keep to a rate.
#include "plugins/meta/bandwidth/bucket.hpp"
#include "test/support/catch.hpp"

using namespace cni;
using namespace cni::bandwidth;

namespace {

constexpr std::uint32_t kMtu = 1500;
constexpr unsigned long long kPacket = 1518;  // with the Ethernet header and a VLAN tag
constexpr std::uint32_t kLatency = 25;

const netlink::PacketClock kClock(1000, 64);

Bucket bucket(std::uint64_t rate, std::uint64_t burst, std::uint32_t mtu = kMtu,
              std::uint32_t latency = kLatency) {
  return bucket_for({.rate = rate, .burst = burst}, mtu, latency, kClock);
}

// The octets that pass at once, as the kernel reckons them: so many nanoseconds at that rate.
std::uint64_t passing(const netlink::Tbf& tbf) {
  const long double seconds = static_cast<long double>(tbf.buffer) * 64 / 1'000'000'000;
  return static_cast<std::uint64_t>(seconds * static_cast<long double>(tbf.rate));
}

}  // namespace

TEST_CASE("a bucket has the numbers that are asked for") {
  // What `tc` shows of the reference's: rate 8Mbit burst 100000b lat 25ms.
  const Bucket out = bucket(8'000'000, 800'000);
  CHECK(out.tbf == netlink::Tbf{.rate = 1'000'000, .limit = 125'000, .buffer = 1'562'500});
  CHECK(out.warning.empty());
  CHECK(bucket(8'000'000, 800'000, kMtu, 100).tbf.limit == 200'000);
  CHECK(bucket(8'000'000, 800'000, kMtu, 1).tbf.limit == 101'000);
}

TEST_CASE("a sensible bucket is the reference's") {
  for (const std::uint64_t rate : {100'000ULL, 8'000'001ULL, 123'456'789ULL, 30'000'000'000ULL}) {
    for (const std::uint64_t divisor : {1ULL, 3ULL, 7ULL}) {
      const Limit limit{.rate = rate,
                        .burst = std::max<std::uint64_t>(rate / divisor, 4 * 8 * kPacket)};
      if (limit.burst > rate) continue;
      CAPTURE(limit.rate, limit.burst);
      const Bucket out = bucket(limit.rate, limit.burst);
      CHECK(out.tbf == reference_bucket(limit, kClock));
      CHECK(out.warning.empty());
    }
  }
}

TEST_CASE("a rate without a burst gets what it passes in 40 milliseconds") {
  for (const std::uint64_t rate : {16'000'000ULL, 1'000'000'000ULL, 100'000'000'000ULL}) {
    CAPTURE(rate);
    const Bucket out = bucket(rate, 0);
    CHECK(passing(out.tbf) == rate / 8 / 25);
    CHECK(out.warning.empty());
  }
}

TEST_CASE("no burst is too small for a packet") {
  for (const std::uint32_t mtu : {1500U, 9000U, 65535U}) {
    for (const std::uint64_t rate :
         {8ULL, 999ULL, 56'000ULL, 10'000'000'000ULL, 400'000'000'000ULL}) {
      for (const std::uint64_t burst : {0ULL, 1ULL, 8ULL, 8 * kPacket}) {
        CAPTURE(mtu, rate, burst);
        const Bucket out = bucket(rate, burst, mtu);
        CHECK(out.tbf.limit >= mtu + 18U);
        const bool fits = passing(out.tbf) >= mtu + 14U;
        // 2^32 ticks are all that the kernel counts: 275 seconds.
        CHECK((fits || out.tbf.buffer == 0xffffffffU));
      }
    }
  }
}

TEST_CASE("a burst of more than a second of the rate is not taken") {
  // What kubelet asks for whatever the rate is.
  constexpr std::uint64_t kKubelet = 2'147'483'647;
  const Bucket out = bucket(10'000'000, kKubelet);
  CHECK(passing(out.tbf) == 50'000);
  CHECK(out.warning ==
        "a burst of 268435455 bytes is more than the rate of 1250000 bytes a second passes in a "
        "second: taking 50000 bytes");
  CHECK(bucket(10'000'000'000, kKubelet).warning.empty());
  CHECK(bucket(8'000'000, 8'000'000).warning.empty());
  CHECK_FALSE(bucket(8'000'000, 8'000'008).warning.empty());
}

TEST_CASE("the reference's numbers wrap as they do there") {
  // `tc` shows it as rate 1Mbit burst 27917286b.
  const netlink::Tbf tbf = reference_bucket({.rate = 1'000'000, .burst = 2'147'483'647}, kClock);
  CHECK(passing(tbf) == 27'917'286);
}

TEST_CASE("numbers beyond the kernel's fields stay at their ends") {
  const Bucket out = bucket(100'000'000'000'000, 0);
  CHECK(out.tbf.limit == 0xffffffffU);
  CHECK(out.tbf.rate == 12'500'000'000'000);
  CHECK(out.warning.empty());
}
