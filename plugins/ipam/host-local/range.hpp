// Ranges of addresses: what the configuration says, validated and with its defaults filled in.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pkg/types/address.hpp"
#include "pkg/types/json.hpp"
#include "pkg/types/schema.hpp"

namespace cni::host_local {

// The addresses from first to last, both included.
struct Interval {
  Ip first;
  Ip last;
};

struct Range {
  Prefix subnet;
  Ip start;
  Ip end;
  Ip gateway;  // need not lie between start and end

  // From start to end.
  bool contains(const Ip& ip) const;
  bool overlaps(const Range& other) const;
  // "start-end"
  std::string to_string() const;
};

// Ranges of one family; an ADD gets one address from each set.
struct RangeSet {
  std::vector<Range> ranges;

  Family family() const { return ranges.front().subnet.address.family(); }
  // The range that an address lies in; null if none.
  const Range* find(const Ip& ip) const;
  bool overlaps(const RangeSet& other) const;
  // "start-end,start-end"
  std::string to_string() const;
  // "10.22.0.0/16, 10.23.0.0/16"
  std::string subnets() const;
};

// The keys of a range as they are written.
struct RangeKeys {
  Prefix subnet;
  std::optional<Ip> start;
  std::optional<Ip> end;
  std::optional<Ip> gateway;
};
extern const schema::Table<RangeKeys> kRangeTable;

// Reads a range set from its ranges as the configuration has them. Throws for a set that is empty,
// mixes families or overlaps with itself, and for a range that cannot be allocated from.
RangeSet read_range_set(const std::vector<Reader>& ranges);

}  // namespace cni::host_local
