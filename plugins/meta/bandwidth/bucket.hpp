// The token buckets that keep to a rate: how large they are, and in the kernel's units.
#pragma once

#include <cstdint>
#include <string>

#include "pkg/netlink/qdisc.hpp"
#include "plugins/meta/bandwidth/config.hpp"

namespace cni::bandwidth {

struct Bucket {
  netlink::Tbf tbf;
  // What is not as the configuration has it, and why; empty if all of it is.
  std::string warning;
};

// The bucket for a limit with a rate, before an interface of that MTU.
//
// The burst that is asked for is taken if it is at least one packet, which could never pass
// otherwise, and at most what the rate passes in a second: with more there would be no limit at all
// for seconds (kubelet asks for 256 MB whatever the rate). Without one, or instead of one that is
// too large, it is what the rate passes in 40 milliseconds, and ten packets at least: enough to
// keep to the rate with few wake-ups, and for the first second to be within a few percent of it.
Bucket bucket_for(const Limit& limit, std::uint32_t mtu, std::uint32_t latency,
                  const netlink::PacketClock& clock);

// What the reference plugin makes of the same limit.
netlink::Tbf reference_bucket(const Limit& limit, const netlink::PacketClock& clock);

}  // namespace cni::bandwidth
