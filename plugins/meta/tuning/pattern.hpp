// Regular expressions of the allowlist: the part of RE2's syntax that such lists use, which the
// reference reads them with. Anything else is refused rather than understood in another way.
#pragma once

#include <bitset>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace cni::tuning {

// Matching takes no more than polynomial time, whatever the expression.
class Pattern {
 public:
  // Letters, ".", classes in brackets, \d \w \s and their opposites, groups, "|", "*", "+", "?" and
  // {m,n} with or without a "?" behind, "^", "$", \A, \z, \b, \B. Throws
  // Code::kInvalidNetworkConfig for anything else.
  static Pattern parse(std::string_view text);

  // Whether some part of the text matches.
  bool matches(std::string_view text) const;

  struct Node {
    enum class Kind { kOctet, kSequence, kAlternatives, kRepeat, kBegin, kEnd, kWordEdge, kNoEdge };
    Kind kind = Kind::kSequence;
    std::bitset<256> octets;
    std::vector<Node> parts;
    std::size_t least = 0;
    std::size_t most = 0;
  };

 private:
  explicit Pattern(Node root) : root_(std::move(root)) {}

  Node root_;
};

}  // namespace cni::tuning
