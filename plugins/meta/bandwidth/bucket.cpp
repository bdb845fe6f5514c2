#include "plugins/meta/bandwidth/bucket.hpp"

#include <algorithm>
#include <limits>

#include "pkg/types/error.hpp"

namespace cni::bandwidth {
namespace {

constexpr std::uint64_t kMax = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kMicroseconds = 1'000'000;  // of a second
constexpr std::uint64_t kMilliseconds = 1'000;
constexpr std::uint64_t kBitsOfOctet = 8;
constexpr std::uint64_t kDefaultBurstMicroseconds = 40'000;
constexpr std::uint64_t kDefaultBurstPackets = 10;
constexpr std::uint32_t kReferenceLatency = 25;  // ms
// Of an Ethernet frame with a VLAN tag.
constexpr std::uint64_t kLinkHeader = 18;

std::uint32_t clamped(std::uint64_t value) {
  return static_cast<std::uint32_t>(std::min(value, kMax));
}

// value * factor / divisor without overflow for any rate.
std::uint64_t scaled(std::uint64_t value, std::uint64_t factor, std::uint64_t divisor) {
  return value / divisor * factor + value % divisor * factor / divisor;
}

// The least burst that a packet passes with. The kernel counts how long a full bucket lasts in
// whole microseconds, rounded down.
std::uint64_t burst_of_a_packet(std::uint64_t rate, std::uint64_t packet) {
  const std::uint64_t microseconds = packet * kMicroseconds / rate + 2;
  return scaled(rate, microseconds, kMicroseconds) + 1;
}

std::uint64_t default_burst(std::uint64_t rate, std::uint64_t packet) {
  const std::uint64_t burst = scaled(rate, kDefaultBurstMicroseconds, kMicroseconds);
  return std::min(std::max(burst, kDefaultBurstPackets * packet), kMax - 1);
}

std::uint64_t chosen_burst(const Limit& limit, std::uint64_t packet, std::string& warning) {
  const std::uint64_t rate = limit.rate / kBitsOfOctet;
  const std::uint64_t wanted = limit.burst / kBitsOfOctet;
  const std::uint64_t usual = default_burst(rate, packet);
  if (limit.burst == 0) return usual;
  if (wanted > rate && usual < wanted) {
    warning = cat("a burst of ", wanted, " bytes is more than the rate of ", rate,
                  " bytes a second passes in a second: taking ", usual, " bytes");
    return usual;
  }
  const std::uint64_t least = burst_of_a_packet(rate, packet);
  if (wanted >= least) return wanted;
  warning = cat("with a burst of ", wanted, " bytes no packet of ", packet,
                " bytes would pass: taking ", least, " bytes");
  return least;
}

}  // namespace

Bucket bucket_for(const Limit& limit, std::uint32_t mtu, std::uint32_t latency,
                  const netlink::PacketClock& clock) {
  Bucket out;
  const std::uint64_t rate = limit.rate / kBitsOfOctet;
  const std::uint64_t packet = mtu + kLinkHeader;
  const std::uint64_t burst = chosen_burst(limit, packet, out.warning);
  const std::uint64_t queue = scaled(rate, latency, kMilliseconds);
  out.tbf.rate = rate;
  out.tbf.limit = clamped(queue + burst);
  out.tbf.buffer = clamped(clock.ticks(burst * kMicroseconds / rate));
  return out;
}

netlink::Tbf reference_bucket(const Limit& limit, const netlink::PacketClock& clock) {
  const std::uint64_t rate = limit.rate / kBitsOfOctet;
  const std::uint64_t burst = limit.burst / kBitsOfOctet;
  // It lets numbers that are too large wrap.
  const auto microseconds = static_cast<std::uint32_t>(burst * kMicroseconds / rate);
  return {
      .rate = rate,
      .limit = static_cast<std::uint32_t>(scaled(rate, kReferenceLatency, kMilliseconds) + burst),
      .buffer = static_cast<std::uint32_t>(clock.ticks(microseconds))};
}

}  // namespace cni::bandwidth
