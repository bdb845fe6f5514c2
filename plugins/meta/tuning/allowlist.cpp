#include "plugins/meta/tuning/allowlist.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "plugins/meta/tuning/pattern.hpp"

namespace cni::tuning {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r\v\f";
  const std::size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    if (!line.empty()) out.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += cat(out.empty() ? "" : " ", line);
  return out;
}

}  // namespace

void check_allowed(std::span<const std::string> keys) {
  if (keys.empty()) return;
  const std::optional<std::string> list = os::read_file(std::string(kAllowlist));
  if (!list) return;
  const std::vector<std::string> lines = lines_of(*list);
  std::vector<Pattern> patterns;
  context(kAllowlist, [&] {
    for (const std::string& line : lines) patterns.push_back(Pattern::parse(line));
  });
  for (const std::string& key : keys) {
    const bool is_allowed =
        std::any_of(patterns.begin(), patterns.end(),
                    [&](const Pattern& pattern) { return pattern.matches(key); });
    if (is_allowed) continue;
    throw Error(Code::kInvalidNetworkConfig,
                cat("Sysctl ", key, " is not allowed. Only the following sysctls are allowed: [",
                    joined(lines), "]"),
                cat("the list is ", kAllowlist, " of the node"));
  }
}

}  // namespace cni::tuning
