// The versions of the CNI specification that the suite speaks, and what each allows.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace cni {

inline constexpr std::array<std::string_view, 7> kAllVersions = {"0.1.0", "0.2.0", "0.3.0", "0.3.1",
                                                                 "0.4.0", "1.0.0", "1.1.0"};
// Those from one of them on, for plugins that came with it.
consteval std::span<const std::string_view> versions_from(std::string_view first) {
  const auto* it = std::find(kAllVersions.begin(), kAllVersions.end(), first);
  if (it == kAllVersions.end()) throw "no such version";
  return {it, kAllVersions.end()};
}
inline constexpr std::string_view kCurrentVersion = "1.1.0";
// What a config without cniVersion means.
inline constexpr std::string_view kDefaultVersion = "0.1.0";

struct Version {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned patch = 0;

  // Up to three integers joined by dots, missing ones are 0; "" is 0.1.0. Absent for anything else.
  static std::optional<Version> parse(std::string_view text);

  auto operator<=>(const Version& other) const = default;
};

inline constexpr Version kFirstWithResultList{
    0, 3, 0};  // results with interfaces and any number of addresses
inline constexpr Version kFirstWithCheck{0, 4, 0};
inline constexpr Version kFirstWithGc{1, 1, 0};
inline constexpr Version kFirstWithStatus{1, 1, 0};

// text as written, or 0.1.0 when it is empty.
std::string_view version_or_default(std::string_view text);

// Exact comparison with one of the supported entries.
bool is_supported(std::string_view version, std::span<const std::string_view> supported);

}  // namespace cni
