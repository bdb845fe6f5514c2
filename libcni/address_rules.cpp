#include "libcni/address_rules.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "libcni/key_hints.hpp"
#include "pkg/types/error.hpp"

namespace cni::libcni {
namespace {

using nlohmann::json;

// The keys of a range, and what is said about them.
class RangeCheck {
 public:
  RangeCheck(const json& object, const std::string& path, const Report& report)
      : object_(object), path_(path), report_(report) {}

  void run() {
    const auto subnet = Prefix::parse(text_member(object_, "subnet"));
    if (!subnet) {
      demand_subnet();
      return;
    }
    if (subnet->length + 2 > subnet->address.width()) {
      say("subnet", cat("network ", subnet->network().to_string(), " is too small"),
          subnet->address.is_ipv4() ? "at most /30 has addresses to hand out"
                                    : "at most /126 has addresses to hand out");
    }
    if (*subnet != subnet->network()) {
      say("subnet", "the network has host bits set",
          cat("write ", quote(subnet->network().to_string())));
    }
    const auto start = within(*subnet, "rangeStart");
    const auto end = within(*subnet, "rangeEnd");
    if (start && end && *start > *end) {
      say("rangeStart", cat("rangeStart is after rangeEnd, which is ", end->to_string()),
          "swap the two");
    }
    check_gateway(*subnet);
  }

 private:
  void say(std::string_view key, std::string sentence, std::string hint,
           Severity severity = Severity::kError) const {
    const json* value = member(object_, key);
    report_({severity, cat(path_, ".", key), value != nullptr ? shown(*value) : "",
             std::move(sentence), std::move(hint)});
  }

  // Keys of a range without the one that they are about.
  void demand_subnet() const {
    const json* subnet = member(object_, "subnet");
    if (subnet != nullptr && *subnet != "") return;
    for (const std::string_view key : {"rangeStart", "rangeEnd", "gateway"}) {
      if (member(object_, key) != nullptr) say(key, "there is no subnet beside it", "");
    }
  }

  // The address under a key; absent if it is none of the subnet.
  std::optional<Ip> within(const Prefix& subnet, std::string_view key) const {
    const auto ip = Ip::parse(text_member(object_, key));
    if (!ip) return std::nullopt;
    if (subnet.contains(*ip)) return ip;
    say(key, cat(key, " is not in the subnet ", subnet.to_string()),
        cat("its addresses are ", subnet.network().address.next().to_string(), " to ",
            subnet.last().to_string()));
    return std::nullopt;
  }

  void check_gateway(const Prefix& subnet) const {
    const auto gateway = Ip::parse(text_member(object_, "gateway"));
    if (!gateway || subnet.contains(*gateway)) return;
    if (gateway->family() != subnet.address.family()) {
      say("gateway", cat("the gateway is not of the family of ", subnet.to_string()), "");
      return;
    }
    say("gateway", cat("the gateway is not in the subnet ", subnet.to_string()),
        "containers reach it only over a route of its own", Severity::kWarning);
  }

  const json& object_;
  const std::string& path_;
  const Report& report_;
};

void append_range(const json& object, std::string path, std::size_t set,
                  std::vector<RangeAt>& out) {
  const auto subnet = Prefix::parse(text_member(object, "subnet"));
  if (!subnet || subnet->length + 2 > subnet->address.width()) return;
  const Ip last = subnet->last();
  RangeAt range{*subnet, subnet->network().address.next(), last.is_ipv4() ? last.previous() : last,
                std::move(path), set};
  if (const auto ip = Ip::parse(text_member(object, "rangeStart"))) range.first = *ip;
  if (const auto ip = Ip::parse(text_member(object, "rangeEnd"))) range.last = *ip;
  if (range.first <= range.last) out.push_back(std::move(range));
}

std::string subnet_path(const RangeAt& range) { return range.path + ".subnet"; }

void compare_ranges(const RangeAt& one, const RangeAt& other, const Report& report) {
  const std::string value = quote(other.subnet.to_string());
  if (one.set == other.set && one.subnet.address.family() != other.subnet.address.family()) {
    report({Severity::kError, subnet_path(other), value,
            "the ranges of a set have to be of one address family",
            cat(subnet_path(one), " is of the other; each family has a set of its own")});
  } else if (one.overlaps(other)) {
    report({Severity::kError, subnet_path(other), value,
            cat("range ", other.to_string(), " overlaps with ", one.to_string()),
            cat("the other one is ", subnet_path(one))});
  }
}

bool has_ranges(const json& ipam) {
  const json* sets = member(ipam, "ranges");
  const bool has_sets = sets != nullptr && !(sets->is_array() && sets->empty());
  return has_sets || !text_member(ipam, "subnet").empty();
}

// Of a whole plugin: without ranges of its own it needs those of the runtime.
void check_ranges_given(const json& plugin, const std::string& path, const Report& report) {
  const json* ipam = member(plugin, "ipam");
  if (ipam == nullptr || !ipam->is_object() || has_ranges(*ipam)) return;
  const json* capabilities = member(plugin, "capabilities");
  if (capabilities != nullptr && is_true(*capabilities, "ipRanges")) return;
  const json* runtime = member(plugin, "runtimeConfig");
  if (runtime != nullptr && member(*runtime, "ipRanges") != nullptr) return;
  report({Severity::kError, path.empty() ? "ipam" : path + ".ipam", "", "no IP ranges specified",
          "give ranges or subnet, or declare the capability ipRanges"});
}

// The entries of exclude that are addresses; the family of each has to be that of a range.
void check_exclusions(const json& ipam, const std::string& path, const std::vector<RangeAt>& ranges,
                      const Report& report) {
  const json* exclude = member(ipam, "exclude");
  for (std::size_t i = 0; exclude != nullptr && exclude->is_array() && i < exclude->size(); ++i) {
    const json& entry = (*exclude)[i];
    if (!entry.is_string()) continue;
    const auto text = entry.get<std::string>();
    const auto ip = Ip::parse(text);
    const auto prefix = ip ? Prefix::host(*ip) : Prefix::parse(text);
    if (!prefix) continue;
    const std::string at = cat(path, ".exclude[", i, "]");
    if (*prefix != prefix->network()) {
      report({Severity::kError, at, shown(entry), "the network has host bits set",
              cat("write ", quote(prefix->network().to_string()), " for the network or ",
                  quote(prefix->address.to_string()), " for the one address")});
    }
    const bool matches = std::any_of(ranges.begin(), ranges.end(), [&](const RangeAt& range) {
      return range.subnet.address.family() == prefix->address.family();
    });
    if (matches || ranges.empty()) continue;
    report({Severity::kError, at, shown(entry), "no range is of this address family", ""});
  }
}

void check_range_sets(const json& ipam, const std::string& path, const Report& report) {
  const json* sets = member(ipam, "ranges");
  for (std::size_t i = 0; sets != nullptr && sets->is_array() && i < sets->size(); ++i) {
    const json& set = (*sets)[i];
    if (!set.is_array() || !set.empty()) continue;
    report({Severity::kError, cat(path, ".ranges[", i, "]"), "[]", "empty range set", ""});
  }
  const std::vector<RangeAt> ranges = ranges_of(ipam, path);
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    for (std::size_t j = i + 1; j < ranges.size(); ++j) {
      compare_ranges(ranges[i], ranges[j], report);
    }
  }
  check_exclusions(ipam, path, ranges, report);
}

void check_gateway_family(const json& object, const std::string& path, const Report& report) {
  const auto address = Prefix::parse(text_member(object, "address"));
  const auto gateway = Ip::parse(text_member(object, "gateway"));
  if (text_member(object, "address").empty()) {
    report({Severity::kError, path + ".address", "", "this key is required", ""});
  }
  if (!address || !gateway || gateway->family() == address->address.family()) return;
  report({Severity::kError, path + ".gateway", quote(gateway->to_string()),
          cat("the gateway is not of the address family of ", address->to_string()), ""});
}

}  // namespace

void check_address_rule(std::string_view rule, const json& object, const std::string& path,
                        const Report& report) {
  if (rule == "address-range") RangeCheck(object, path, report).run();
  if (rule == "ranges-given") check_ranges_given(object, path, report);
  if (rule == "range-sets") check_range_sets(object, path, report);
  if (rule == "gateway-family") check_gateway_family(object, path, report);
}

bool RangeAt::overlaps(const RangeAt& other) const {
  return first.family() == other.first.family() && first <= other.last && other.first <= last;
}

std::vector<RangeAt> ranges_of(const json& ipam, const std::string& path) {
  std::vector<RangeAt> out;
  append_range(ipam, path, 0, out);
  const json* sets = member(ipam, "ranges");
  if (sets == nullptr || !sets->is_array()) return out;
  for (std::size_t i = 0; i < sets->size(); ++i) {
    const json& set = (*sets)[i];
    for (std::size_t j = 0; set.is_array() && j < set.size(); ++j) {
      append_range(set[j], cat(path, ".ranges[", i, "][", j, "]"), i + 1, out);
    }
  }
  return out;
}

const json* member(const json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  auto found = object.find(key);
  if (found == object.end()) {
    found = object.begin();
    while (found != object.end() && !same_key(found.key(), key)) ++found;
  }
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string text_member(const json& object, std::string_view key) {
  const json* value = member(object, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

bool is_true(const json& object, std::string_view key) {
  const json* value = member(object, key);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

std::string shown(const json& value) {
  constexpr std::size_t kMaxShown = 80;
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > kMaxShown) text = text.substr(0, kMaxShown) + "...";
  return text;
}

}  // namespace cni::libcni
