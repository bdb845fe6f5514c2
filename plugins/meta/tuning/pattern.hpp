// Regular expressions of the allowlist.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace cni::tuning {

// Read by PCRE2 (docs/decisions/0071-pcre2.md), which understands what the reference's RE2 does.
class Pattern {
 public:
  // Throws Code::kInvalidNetworkConfig, with the place of the mistake.
  static Pattern parse(std::string_view text);

  // Whether some part of the text matches. Throws Code::kInvalidNetworkConfig for an expression
  // that takes too many steps to tell.
  bool matches(std::string_view text) const;

 private:
  Pattern(std::string_view text, std::shared_ptr<const void> code)
      : text_(text), code_(std::move(code)) {}

  std::string text_;
  std::shared_ptr<const void> code_;  // pcre2_code
};

}  // namespace cni::tuning
