// The rules of the schemas that only code can check: those about addresses.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libcni/validation.hpp"
#include "pkg/types/address.hpp"

namespace cni::libcni {

using Report = std::function<void(Problem)>;

// Checks the rule of that name of an object. Values that are no addresses are left to the other
// checks; an unknown rule is fulfilled.
void check_address_rule(std::string_view rule, const nlohmann::json& object,
                        const std::string& path, const Report& report);

// A range of host-local, with its defaults filled in.
struct RangeAt {
  Prefix subnet;
  Ip first;
  Ip last;
  std::string path;  // of the range
  std::size_t set;   // the range set that it belongs to

  bool overlaps(const RangeAt& other) const;
  std::string to_string() const { return first.to_string() + "-" + last.to_string(); }
};

// The ranges of an ipam section that can be understood, those of `subnet` first.
std::vector<RangeAt> ranges_of(const nlohmann::json& ipam, const std::string& path);

// The value under a key of an object, matched without regard to case; null if there is none.
const nlohmann::json* member(const nlohmann::json& object, std::string_view key);
// The same for a text; empty if it is none.
std::string text_member(const nlohmann::json& object, std::string_view key);
// True only if the value is true.
bool is_true(const nlohmann::json& object, std::string_view key);
// A value as a message shows it: JSON, cut if it is long.
std::string shown(const nlohmann::json& value);

}  // namespace cni::libcni
