#include "pkg/types/version.hpp"

#include <algorithm>
#include <charconv>

namespace cni {

std::optional<Version> Version::parse(std::string_view text) {
  if (text.empty()) return Version{0, 1, 0};
  Version out;
  unsigned* const parts[] = {&out.major, &out.minor, &out.patch};
  for (std::size_t i = 0;; ++i) {
    if (i == 3) return std::nullopt;
    const std::size_t dot = text.find('.');
    const std::string_view part = text.substr(0, dot);
    const auto [end, ec] = std::from_chars(part.data(), part.data() + part.size(), *parts[i]);
    if (part.empty() || ec != std::errc{} || end != part.data() + part.size()) return std::nullopt;
    if (dot == std::string_view::npos) return out;
    text.remove_prefix(dot + 1);
  }
}

std::string_view version_or_default(std::string_view text) {
  return text.empty() ? kDefaultVersion : text;
}

bool is_supported(std::string_view version, std::span<const std::string_view> supported) {
  return std::find(supported.begin(), supported.end(), version) != supported.end();
}

}  // namespace cni
