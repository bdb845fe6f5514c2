#include "pkg/types/json.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

namespace cni {
namespace {

constexpr unsigned kMaxDepth = 512;

bool nests_too_deep(std::string_view text) {
  unsigned depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_without_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

// A value as an error shows it: its type, and the value itself where that is short.
std::string describe(const nlohmann::json& value) {
  constexpr std::size_t kMaxShown = 80;
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() > kMaxShown) text = text.substr(0, kMaxShown) + "...";
  if (value.is_string()) return cat("the string ", text);
  if (value.is_boolean()) return cat("the boolean ", text);
  return cat("the number ", text);
}

template <class T>
bool read_integer(const std::optional<Reader>& at, T& out) {
  if (!at) return false;
  const nlohmann::json& value = at->value();
  const std::string expected =
      cat("an integer from ", std::numeric_limits<T>::min(), " to ", std::numeric_limits<T>::max());
  if (!value.is_number_integer()) throw Reader::wrong_type(*at, expected);
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (!std::in_range<T>(number)) throw Reader::wrong_type(*at, expected);
    out = static_cast<T>(number);
  } else {
    const auto number = value.get<std::int64_t>();
    if (!std::in_range<T>(number)) throw Reader::wrong_type(*at, expected);
    out = static_cast<T>(number);
  }
  return true;
}

template <class T>
bool read_parsed(const std::optional<Reader>& at, T& out, std::string_view expected) {
  if (!at) return false;
  const std::string text = at->text();
  if (text.empty()) return false;
  auto parsed = T::parse(text);
  if (!parsed) throw Reader::wrong_type(*at, expected);
  out = *std::move(parsed);
  return true;
}

}  // namespace

std::shared_ptr<const nlohmann::json> parse_json(std::string_view text, std::string_view what) {
  if (nests_too_deep(text)) {
    throw Error(Code::kDecodingFailure,
                cat(what, ": the document nests deeper than ", kMaxDepth, " levels"));
  }
  // The library takes it for the end of the text, whatever follows.
  if (text.find('\0') != std::string_view::npos) {
    throw Error(Code::kDecodingFailure, cat(what, ": the document contains a NUL character"));
  }
  try {
    return std::make_shared<const nlohmann::json>(nlohmann::json::parse(text));
  } catch (const nlohmann::json::exception& error) {
    // The library's text starts with "[json.exception.NAME.ID] ".
    std::string_view reason = error.what();
    const std::size_t bracket = reason.find("] ");
    if (bracket != std::string_view::npos) reason.remove_prefix(bracket + 2);
    throw Error(Code::kDecodingFailure, cat(what, ": ", reason));
  }
}

std::optional<std::string> find_duplicate_key(std::string_view text,
                                              std::span<const std::string_view> path) {
  std::vector<std::string> place;  // the keys that lead to where the parser is
  std::set<std::string> seen;
  std::optional<std::string> found;
  bool is_below = false;
  const auto note = [&](const std::string& key) {
    if (!found && !seen.insert(key).second) found = key;
  };
  const auto leads_to_path = [&](std::size_t length) {
    return std::equal(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(length),
                      place.begin(), equal_without_case);
  };
  const auto visit = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& key) {
    if (event != nlohmann::json::parse_event_t::key) return true;
    const auto level = static_cast<std::size_t>(depth);
    place.resize(level - 1);
    place.push_back(key.get<std::string>());
    if (level == path.size() && leads_to_path(level)) {
      if (is_below && !found) found = place.back();
      is_below = true;
    } else if (level == path.size() + 1 && leads_to_path(path.size())) {
      note(place.back());
    }
    return true;
  };
  const bool is_json = !nlohmann::json::parse(text, visit, false).is_discarded();
  return is_json ? found : std::nullopt;
}

Reader::Reader(const nlohmann::json& value, std::string path)
    : value_(&value), path_(std::move(path)) {}

std::string Reader::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : cat(path_, '.', key);
}

const nlohmann::json* Reader::find(std::string_view key) const {
  if (value_->is_null()) return nullptr;
  if (!value_->is_object()) throw wrong_type(*this, "an object");
  auto found = value_->find(key);
  if (found == value_->end()) {
    found = value_->begin();
    while (found != value_->end() && !equal_without_case(found.key(), key)) ++found;
  }
  if (found == value_->end() || found->is_null()) return nullptr;
  return &*found;
}

std::optional<Reader> Reader::child(std::string_view key) const {
  const nlohmann::json* found = find(key);
  if (found == nullptr) return std::nullopt;
  return Reader(*found, path_of(key));
}

bool Reader::has(std::string_view key) const { return find(key) != nullptr; }

std::vector<std::string> Reader::keys() const {
  if (!value_->is_object()) throw wrong_type(*this, "an object");
  std::vector<std::string> out;
  for (auto it = value_->begin(); it != value_->end(); ++it) out.push_back(it.key());
  return out;
}

bool Reader::optional(std::string_view key, bool& out) const {
  const auto at = child(key);
  if (!at) return false;
  if (!at->value().is_boolean()) throw wrong_type(*at, "true or false");
  out = at->value().get<bool>();
  return true;
}

bool Reader::optional(std::string_view key, int& out) const {
  return read_integer(child(key), out);
}

bool Reader::optional(std::string_view key, std::uint32_t& out) const {
  return read_integer(child(key), out);
}

bool Reader::optional(std::string_view key, std::uint64_t& out) const {
  return read_integer(child(key), out);
}

bool Reader::optional(std::string_view key, std::string& out) const {
  const auto at = child(key);
  if (!at) return false;
  out = at->text();
  return true;
}

bool Reader::optional(std::string_view key, std::vector<std::string>& out) const {
  const auto at = child(key);
  if (!at) return false;
  out.clear();
  for (const Reader& element : at->elements()) out.push_back(element.text());
  return true;
}

bool Reader::optional(std::string_view key, std::map<std::string, bool>& out) const {
  const auto at = child(key);
  if (!at) return false;
  out.clear();
  for (const std::string& name : at->keys()) {
    bool value = false;
    at->optional(name, value);
    out[name] = value;
  }
  return true;
}

bool Reader::optional(std::string_view key, Ip& out) const {
  return read_parsed(child(key), out, "an IP address");
}

bool Reader::optional(std::string_view key, Prefix& out) const {
  return read_parsed(child(key), out, "an address with prefix length (CIDR notation)");
}

bool Reader::optional(std::string_view key, Mac& out) const {
  return read_parsed(child(key), out, "a MAC address");
}

Reader Reader::get(std::string_view key) const {
  const auto at = child(key);
  if (!at) throw missing(key);
  return *at;
}

std::optional<Reader> Reader::object(std::string_view key) const {
  auto at = child(key);
  if (at && !at->value().is_object()) throw wrong_type(*at, "an object");
  return at;
}

std::vector<Reader> Reader::array(std::string_view key) const {
  const auto at = child(key);
  return at ? at->elements() : std::vector<Reader>{};
}

std::vector<Reader> Reader::elements() const {
  if (!value_->is_array()) throw wrong_type(*this, "an array");
  std::vector<Reader> out;
  out.reserve(value_->size());
  for (std::size_t i = 0; i < value_->size(); ++i) {
    out.emplace_back((*value_)[i], cat(path_, '[', i, ']'));
  }
  return out;
}

std::string Reader::text() const {
  if (!value_->is_string()) throw wrong_type(*this, "a string");
  return value_->get<std::string>();
}

Error Reader::invalid(std::string_view key, std::string_view sentence) const {
  return Error(Code::kInvalidNetworkConfig, cat(path_of(key), ": ", sentence));
}

Error Reader::missing(std::string_view key) const {
  return Error(Code::kInvalidNetworkConfig, cat(path_of(key), ": this key is required"));
}

Error Reader::wrong_type(const Reader& at, std::string_view expected) {
  const std::string where = at.path().empty() ? "the document" : at.path();
  return Error(Code::kDecodingFailure,
               cat(where, ": expected ", expected, ", got ", describe(at.value())));
}

}  // namespace cni
