#include "plugins/ipam/host-local/allocator.hpp"

#include <algorithm>
#include <limits>

namespace cni::host_local {
namespace {

// How many addresses an interval has; the largest number for more than fit.
std::uint64_t size_of(const Ip& first, const Ip& last) {
  constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
  const std::size_t upper = first.size() - std::min(first.size(), sizeof(std::uint64_t));
  if (!std::equal(first.data(), first.data() + upper, last.data())) return kMost;
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  for (std::size_t i = upper; i < first.size(); ++i) {
    from = from << 8U | first.data()[i];
    to = to << 8U | last.data()[i];
  }
  return to - from == kMost ? kMost : to - from + 1;
}

std::vector<Interval> merged(std::vector<Interval> intervals) {
  std::sort(intervals.begin(), intervals.end(),
            [](const Interval& a, const Interval& b) { return a.first < b.first; });
  std::vector<Interval> out;
  for (const Interval& interval : intervals) {
    const bool touches =
        !out.empty() && out.back().last.family() == interval.first.family() &&
        (interval.first <= out.back().last || interval.first == out.back().last.next());
    if (touches) {
      out.back().last = std::max(out.back().last, interval.last);
    } else {
      out.push_back(interval);
    }
  }
  return out;
}

// The set in the order of the search.
std::vector<Interval> search_order(const RangeSet& set, const std::optional<Ip>& last) {
  const Range* current = last ? set.find(*last) : nullptr;
  std::vector<Interval> out;
  const std::size_t count = set.ranges.size();
  const std::size_t begin =
      current == nullptr ? 0 : static_cast<std::size_t>(current - set.ranges.data());
  for (std::size_t i = 0; i < count; ++i) {
    const Range& range = set.ranges[(begin + i) % count];
    if (&range != current) {
      out.push_back({range.start, range.end});
    } else if (*last < range.end) {
      out.push_back({last->next(), range.end});
    }
  }
  if (current != nullptr) out.push_back({current->start, *last});
  return out;
}

std::optional<Ip> first_free(const Interval& interval, const Blocked& blocked,
                             const FreeAddresses& free) {
  Ip at = interval.first;
  while (true) {
    const auto found = free(at, interval.last);
    if (!found) return std::nullopt;
    const Interval* obstacle = blocked.find(*found);
    if (obstacle == nullptr) return found;
    if (obstacle->last >= interval.last) return std::nullopt;
    at = obstacle->last.next();
  }
}

}  // namespace

Blocked::Blocked(const Config& config) {
  for (const RangeSet& set : config.range_sets) {
    for (const Range& range : set.ranges) intervals_.push_back({range.gateway, range.gateway});
  }
  for (const Exclusion& exclusion : config.exclusions) {
    intervals_.push_back({exclusion.addresses.address, exclusion.addresses.last()});
  }
  intervals_ = merged(std::move(intervals_));
}

const Interval* Blocked::find(const Ip& ip) const {
  const auto behind = std::upper_bound(
      intervals_.begin(), intervals_.end(), ip,
      [](const Ip& value, const Interval& interval) { return value < interval.first; });
  if (behind == intervals_.begin()) return nullptr;
  const Interval& candidate = *(behind - 1);
  return ip <= candidate.last ? &candidate : nullptr;
}

std::uint64_t Blocked::count_usable(const RangeSet& set) const {
  std::uint64_t total = 0;
  const auto add = [&total](std::uint64_t more) {
    total = total + more < total ? std::numeric_limits<std::uint64_t>::max() : total + more;
  };
  for (const Range& range : set.ranges) {
    std::optional<Ip> at = range.start;
    for (const Interval& interval : intervals_) {
      if (!at || interval.last < *at || interval.first > range.end) continue;
      if (*at < interval.first) add(size_of(*at, interval.first.previous()));
      at = interval.last < range.end ? std::optional(interval.last.next()) : std::nullopt;
    }
    if (at) add(size_of(*at, range.end));
  }
  return total;
}

std::optional<Ip> next_address(const RangeSet& set, const std::optional<Ip>& last,
                               const Blocked& blocked, const FreeAddresses& free) {
  for (const Interval& interval : search_order(set, last)) {
    if (const auto found = first_free(interval, blocked, free)) return found;
  }
  return std::nullopt;
}

}  // namespace cni::host_local
