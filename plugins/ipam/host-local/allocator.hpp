// Which address of a range set comes next.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "pkg/types/address.hpp"
#include "plugins/ipam/host-local/config.hpp"
#include "plugins/ipam/host-local/range.hpp"

namespace cni::host_local {

// Addresses that are never handed out: gateways, and what ipam.exclude names.
class Blocked {
 public:
  explicit Blocked(const Config& config);

  // The blocked interval that an address lies in; null if it is none. Touching intervals are one.
  const Interval* find(const Ip& ip) const;
  // How many addresses of a range set are not blocked; the largest number for more than fit.
  std::uint64_t count_usable(const RangeSet& set) const;

 private:
  std::vector<Interval> intervals_;  // sorted, disjoint
};

// The first address of an interval that is not held; absent if all are.
using FreeAddresses = std::function<std::optional<Ip>(const Ip& first, const Ip& last)>;

// Round robin: the first free address behind `last` if that lies in the set, else from the set's
// start; around to `last` itself. Absent if the set is exhausted.
std::optional<Ip> next_address(const RangeSet& set, const std::optional<Ip>& last,
                               const Blocked& blocked, const FreeAddresses& free);

}  // namespace cni::host_local
