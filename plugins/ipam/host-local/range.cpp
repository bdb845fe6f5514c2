#include "plugins/ipam/host-local/range.hpp"

#include "pkg/types/error.hpp"

namespace cni::host_local {
namespace {

Error invalid_range(const Reader& in, std::string_view key, std::string_view sentence) {
  return Error(Code::kInvalidNetworkConfig, cat(sentence, " (", in.path_of(key), ")"));
}

constexpr auto kRangeKeys = schema::keys<RangeKeys>(
    schema::key<&RangeKeys::subnet>(
        "subnet", "The subnet, without host bits: at most /30 for IPv4 and /126 for IPv6.",
        {.required = true}),
    schema::key<&RangeKeys::start>(
        "rangeStart", "The first address to hand out; by default the subnet's second."),
    schema::key<&RangeKeys::end>(
        "rangeEnd",
        "The last address to hand out; by default the subnet's last but, for IPv4, the broadcast."),
    schema::key<&RangeKeys::gateway>(
        "gateway", "The gateway of the result, never handed out; by default the subnet's second."));
constexpr schema::Rule kRangeRules[] = {
    {.name = "address-range",
     .sentence = "rangeStart and rangeEnd lie in subnet and in this order"}};

void check_subnet(const Reader& in, const Prefix& subnet) {
  // The network and the broadcast address are not for containers, so at least two bits have to be
  // left.
  if (subnet.length + 2 > subnet.address.width()) {
    throw invalid_range(
        in, "subnet", cat("Network ", subnet.network().to_string(), " too small to allocate from"));
  }
  if (subnet != subnet.network()) {
    throw invalid_range(
        in, "subnet",
        cat("Network has host bits set. For a subnet mask of length ", subnet.length,
            " the network address is ", subnet.network().address.to_string()));
  }
}

Ip gateway_of(const Reader& in, const Prefix& subnet, const std::optional<Ip>& gateway) {
  if (!gateway) return subnet.address.next();
  if (gateway->family() != subnet.address.family()) {
    throw invalid_range(in, "gateway",
                        cat("gateway ", gateway->to_string(), " is not of the address family of ",
                            subnet.to_string()));
  }
  return *gateway;
}

// The last address of the subnet, less the broadcast address, which only IPv4 has.
Ip default_end(const Prefix& subnet) {
  const Ip last = subnet.last();
  return last.is_ipv4() ? last.previous() : last;
}

Range read_range(const Reader& in) {
  RangeKeys keys;
  schema::read(in, kRangeTable, keys);
  check_subnet(in, keys.subnet);
  Range range;
  range.subnet = keys.subnet;
  range.gateway = gateway_of(in, range.subnet, keys.gateway);
  const std::optional<Ip>& start = keys.start;
  const std::optional<Ip>& end = keys.end;
  range.start = start.value_or(range.subnet.address.next());
  range.end = end.value_or(default_end(range.subnet));
  const std::string network = range.subnet.to_string();
  if (start && !range.subnet.contains(*start)) {
    throw invalid_range(in, "rangeStart",
                        cat("RangeStart ", start->to_string(), " not in network ", network));
  }
  if (start && end && range.subnet.contains(*end) && *start > *end) {
    throw invalid_range(in, "rangeStart",
                        cat("RangeStart ", start->to_string(), " not in network ", network,
                            " up to RangeEnd ", end->to_string()));
  }
  if ((end && !range.subnet.contains(*end)) || range.start > range.end) {
    throw invalid_range(
        in, end ? "rangeEnd" : "rangeStart",
        cat(end ? "RangeEnd " : "RangeStart ", (end ? range.end : range.start).to_string(),
            " not in network ", network, ", whose usable addresses are ",
            range.subnet.address.next().to_string(), " to ",
            default_end(range.subnet).to_string()));
  }
  return range;
}

void check_compatible(const Range& one, const Range& other, const Reader& at) {
  if (one.subnet.address.family() != other.subnet.address.family()) {
    throw invalid_range(at, "subnet", "mixed address families");
  }
  if (one.overlaps(other)) {
    throw invalid_range(at, "subnet",
                        cat("subnets ", one.to_string(), " and ", other.to_string(), " overlap"));
  }
}

}  // namespace

constinit const schema::Table<RangeKeys> kRangeTable(kRangeKeys, kRangeRules);

bool Range::contains(const Ip& ip) const {
  return ip.family() == start.family() && start <= ip && ip <= end;
}

bool Range::overlaps(const Range& other) const {
  return start.family() == other.start.family() && start <= other.end && other.start <= end;
}

std::string Range::to_string() const { return cat(start.to_string(), '-', end.to_string()); }

const Range* RangeSet::find(const Ip& ip) const {
  for (const Range& range : ranges) {
    if (range.contains(ip)) return &range;
  }
  return nullptr;
}

bool RangeSet::overlaps(const RangeSet& other) const {
  for (const Range& mine : ranges) {
    for (const Range& theirs : other.ranges) {
      if (mine.overlaps(theirs)) return true;
    }
  }
  return false;
}

std::string RangeSet::to_string() const {
  std::string out;
  for (const Range& range : ranges) out += cat(out.empty() ? "" : ",", range.to_string());
  return out;
}

std::string RangeSet::subnets() const {
  std::string out;
  for (const Range& range : ranges) out += cat(out.empty() ? "" : ", ", range.subnet.to_string());
  return out;
}

RangeSet read_range_set(const std::vector<Reader>& ranges) {
  if (ranges.empty()) throw Error(Code::kInvalidNetworkConfig, "empty range set");
  RangeSet set;
  for (const Reader& in : ranges) {
    const Range range = read_range(in);
    for (const Range& earlier : set.ranges) check_compatible(earlier, range, in);
    set.ranges.push_back(range);
  }
  return set;
}

}  // namespace cni::host_local
