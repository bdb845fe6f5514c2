#include "plugins/meta/tuning/pattern.hpp"

#include <algorithm>
#include <cctype>
#include <limits>
#include <optional>

#include "pkg/types/error.hpp"

namespace cni::tuning {
namespace {

using Node = Pattern::Node;
using Octets = std::bitset<256>;

constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();
constexpr std::size_t kMaxRepeat = 1000;  // as RE2 has it
constexpr int kMaxNesting = 100;

std::size_t index_of(char c) { return static_cast<unsigned char>(c); }

Octets octets_that(int (*is_in)(int)) {
  Octets out;
  for (int c = 0; c < 128; ++c) out.set(static_cast<std::size_t>(c), is_in(c) != 0);
  return out;
}

int is_word(int c) { return std::isalnum(c) != 0 || c == '_' ? 1 : 0; }
// As RE2 has it: without the vertical tab.
int is_space(int c) { return std::isspace(c) != 0 && c != '\v' ? 1 : 0; }

// \d and its like; absent for another letter.
std::optional<Octets> named_class(char letter) {
  switch (letter) {
    case 'd':
      return octets_that(std::isdigit);
    case 'D':
      return ~octets_that(std::isdigit);
    case 'w':
      return octets_that(is_word);
    case 'W':
      return ~octets_that(is_word);
    case 's':
      return octets_that(is_space);
    case 'S':
      return ~octets_that(is_space);
    default:
      return std::nullopt;
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text), rest_(text) {}

  Node parse() {
    Node out = alternatives(0);
    if (!rest_.empty()) throw refused("\")\" without \"(\"");
    return out;
  }

 private:
  Error refused(std::string_view reason) const {
    return Error(Code::kInvalidNetworkConfig,
                 cat("error parsing regexp: ", reason, ": ", quote(text_)));
  }

  bool take(std::string_view what) {
    if (!rest_.starts_with(what)) return false;
    rest_.remove_prefix(what.size());
    return true;
  }
  char next() {
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }

  Node alternatives(int nesting) {
    if (nesting > kMaxNesting) throw refused("it nests too deep");
    Node out{.kind = Node::Kind::kAlternatives};
    do {
      out.parts.push_back(sequence(nesting));
    } while (take("|"));
    return out;
  }

  Node sequence(int nesting) {
    Node out{.kind = Node::Kind::kSequence};
    while (!rest_.empty() && rest_.front() != '|' && rest_.front() != ')') {
      out.parts.push_back(repeated(single(nesting)));
    }
    return out;
  }

  Node single(int nesting) {
    if (take("(")) return group(nesting);
    if (take("[")) return one_of(brackets());
    if (take("^")) return {.kind = Node::Kind::kBegin};
    if (take("$")) return {.kind = Node::Kind::kEnd};
    if (take("\\")) return escaped();
    const char c = next();
    if (c == '.') return one_of(~Octets().set(index_of('\n')));
    if (c == '*' || c == '+' || c == '?') throw refused("nothing to repeat");
    return one_of(Octets().set(index_of(c)));
  }

  Node group(int nesting) {
    if (rest_.starts_with("?") && !take("?:")) throw refused("\"(?\" is not supported");
    Node out = alternatives(nesting + 1);
    if (!take(")")) throw refused("missing closing )");
    return out;
  }

  static Node one_of(const Octets& octets) {
    return {.kind = Node::Kind::kOctet, .octets = octets};
  }

  char escaped_octet(char c) const {
    if (std::ispunct(static_cast<unsigned char>(c)) != 0) return c;
    if (c == 't') return '\t';
    if (c == 'n') return '\n';
    throw refused("an escape sequence that is not supported");
  }

  Node escaped() {
    if (rest_.empty()) throw refused("\"\\\" at the end");
    const char c = next();
    if (const auto octets = named_class(c)) return one_of(*octets);
    if (c == 'A') return {.kind = Node::Kind::kBegin};
    if (c == 'z') return {.kind = Node::Kind::kEnd};
    if (c == 'b') return {.kind = Node::Kind::kWordEdge};
    if (c == 'B') return {.kind = Node::Kind::kNoEdge};
    return one_of(Octets().set(index_of(escaped_octet(c))));
  }

  // What stands behind "[".
  Octets brackets() {
    const bool is_negated = take("^");
    Octets out;
    for (bool is_first = true; is_first || !rest_.starts_with("]"); is_first = false) {
      if (rest_.empty()) throw refused("missing closing ]");
      if (rest_.starts_with("[:")) throw refused("\"[:\" is not supported");
      add_bracket_item(out);
    }
    (void)take("]");
    return is_negated ? ~out : out;
  }

  void add_bracket_item(Octets& out) {
    char first = next();
    if (first == '\\') {
      if (rest_.empty()) throw refused("missing closing ]");
      first = next();
      if (const auto octets = named_class(first)) {
        out |= *octets;
        return;
      }
      first = escaped_octet(first);
    }
    char last = first;
    if (rest_.size() >= 2 && rest_[0] == '-' && rest_[1] != ']') {
      (void)next();
      last = next();
      if (last == '\\' && !rest_.empty()) last = escaped_octet(next());
    }
    if (index_of(first) > index_of(last)) throw refused("invalid character class range");
    for (std::size_t c = index_of(first); c <= index_of(last); ++c) out.set(c);
  }

  std::size_t number() {
    std::size_t out = 0;
    if (rest_.empty() || std::isdigit(static_cast<unsigned char>(rest_.front())) == 0) {
      throw refused("invalid repeat count");
    }
    while (!rest_.empty() && std::isdigit(static_cast<unsigned char>(rest_.front())) != 0) {
      out = out * 10 + index_of(next()) - index_of('0');
      if (out > kMaxRepeat) throw refused("invalid repeat count");
    }
    return out;
  }

  void count(Node& out) {
    out.least = number();
    out.most = out.least;
    if (take(",")) out.most = rest_.starts_with("}") ? kUnlimited : number();
    if (!take("}") || out.most < out.least) throw refused("invalid repeat count");
  }

  Node repeated(Node part) {
    Node out{.kind = Node::Kind::kRepeat};
    if (take("*")) {
      out.most = kUnlimited;
    } else if (take("+")) {
      out.least = 1;
      out.most = kUnlimited;
    } else if (take("?")) {
      out.most = 1;
    } else if (take("{")) {
      count(out);
    } else {
      return part;
    }
    // How much is taken first makes no difference to whether there is a match.
    (void)take("?");
    if (rest_.starts_with("*") || rest_.starts_with("+") || rest_.starts_with("?")) {
      throw refused("invalid nested repetition operator");
    }
    out.parts.push_back(std::move(part));
    return out;
  }

  std::string_view text_;
  std::string_view rest_;
};

// Places in a text, between octets: one more than it has octets.
using Places = std::vector<bool>;

bool is_edge(std::string_view text, std::size_t place) {
  const auto is_word_at = [&](std::size_t i) {
    return i < text.size() && is_word(static_cast<unsigned char>(text[i])) != 0;
  };
  return (place > 0 && is_word_at(place - 1)) != is_word_at(place);
}

void unite(Places& to, const Places& from) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = to[i] || from[i];
}

// Where the node's matches end that begin at one of these places.
Places ends(const Node& node, const Places& begins, std::string_view text);

Places repeat_ends(const Node& node, Places from, std::string_view text) {
  for (std::size_t i = 0; i < node.least; ++i) {
    Places next = ends(node.parts[0], from, text);
    if (next == from) break;
    from = std::move(next);
  }
  Places reached = from;
  // No path has more steps that lead somewhere new than the text has places.
  const std::size_t more = std::min(node.most - node.least, text.size() + 1);
  for (std::size_t i = 0; i < more; ++i) {
    from = ends(node.parts[0], from, text);
    const Places before = reached;
    unite(reached, from);
    if (reached == before) break;
  }
  return reached;
}

Places ends(const Node& node, const Places& begins, std::string_view text) {
  Places out(begins.size());
  switch (node.kind) {
    case Node::Kind::kSequence:
      out = begins;
      for (const Node& part : node.parts) out = ends(part, out, text);
      return out;
    case Node::Kind::kAlternatives:
      for (const Node& part : node.parts) unite(out, ends(part, begins, text));
      return out;
    case Node::Kind::kRepeat:
      return repeat_ends(node, begins, text);
    case Node::Kind::kOctet:
      for (std::size_t i = 0; i < text.size(); ++i) {
        out[i + 1] = begins[i] && node.octets[index_of(text[i])];
      }
      return out;
    case Node::Kind::kBegin:
      out.front() = begins.front();
      return out;
    case Node::Kind::kEnd:
      out.back() = begins.back();
      return out;
    case Node::Kind::kWordEdge:
    case Node::Kind::kNoEdge:
      for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = begins[i] && is_edge(text, i) == (node.kind == Node::Kind::kWordEdge);
      }
      return out;
  }
  return out;
}

}  // namespace

Pattern Pattern::parse(std::string_view text) { return Pattern(Parser(text).parse()); }

bool Pattern::matches(std::string_view text) const {
  const Places found = ends(root_, Places(text.size() + 1, true), text);
  return std::find(found.begin(), found.end(), true) != found.end();
}

}  // namespace cni::tuning
