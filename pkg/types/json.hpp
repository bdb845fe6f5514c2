// Typed reading of JSON configuration: every message names the path of the key and the offending
// value.
//
// Keys match without regard to case (an exact match is preferred), unknown keys pass, and null
// leaves a field at its default: what existing configs rely on.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/types/address.hpp"
#include "pkg/types/error.hpp"

namespace cni {

// Parses one JSON document. Throws Code::kDecodingFailure with "<what>: <position and reason>" for
// anything else, also for nesting deeper than 512 levels, so that no document can exhaust the
// stack.
std::shared_ptr<const nlohmann::json> parse_json(std::string_view text, std::string_view what);

// A key that stands twice in the object to which a path of keys leads, or the path's last key if
// that does: a parsed document has only the last of them. Keys of the path match without regard to
// case. Absent if there is none, or if the text is no JSON.
std::optional<std::string> find_duplicate_key(std::string_view text,
                                              std::span<const std::string_view> path);

// One row of an enumeration's text table, used for parsing and printing.
template <class Enum>
struct Choice {
  std::string_view text;
  Enum value;
};

// A view of one JSON object or element, with its path. Cheap to copy; the document must outlive it.
class Reader {
 public:
  explicit Reader(const nlohmann::json& value, std::string path = {});

  // "ipam.ranges[0][1]"; empty for the document itself.
  const std::string& path() const { return path_; }
  const nlohmann::json& value() const { return *value_; }
  // The path of one of this object's keys.
  std::string path_of(std::string_view key) const;

  // True if the key is there and not null.
  bool has(std::string_view key) const;
  std::vector<std::string> keys() const;

  // Sets out and returns true if the key is there and not null. Throws Code::kDecodingFailure for
  // another type, or a number that does not fit.
  bool optional(std::string_view key, bool& out) const;
  bool optional(std::string_view key, int& out) const;
  bool optional(std::string_view key, std::uint32_t& out) const;
  bool optional(std::string_view key, std::uint64_t& out) const;
  bool optional(std::string_view key, std::string& out) const;
  bool optional(std::string_view key, std::vector<std::string>& out) const;
  bool optional(std::string_view key, std::map<std::string, bool>& out) const;
  // Address texts; "" counts as absent.
  bool optional(std::string_view key, Ip& out) const;
  bool optional(std::string_view key, Prefix& out) const;
  bool optional(std::string_view key, Mac& out) const;
  template <class T>
  bool optional(std::string_view key, std::optional<T>& out) const {
    T value{};
    if (!optional(key, value)) return false;
    out = std::move(value);
    return true;
  }

  // As optional, but the key has to be there: Code::kInvalidNetworkConfig otherwise.
  template <class T>
  void required(std::string_view key, T& out) const {
    if (!optional(key, out)) throw missing(key);
  }

  // Text that has to be one of a table's; "" counts as absent. `what` starts the message: `unknown
  // macvlan mode: "x"`.
  template <class Enum>
  bool choice(std::string_view key, Enum& out, std::span<const Choice<Enum>> table,
              std::string_view what) const {
    std::string text;
    if (!optional(key, text) || text.empty()) return false;
    std::string known;
    for (const Choice<Enum>& row : table) {
      if (row.text == text) {
        out = row.value;
        return true;
      }
      known += cat(known.empty() ? "" : ", ", row.text);
    }
    throw Error(Code::kInvalidNetworkConfig, cat("unknown ", what, ": ", quote(text), " (",
                                                 path_of(key), "; known: ", known, ")"));
  }

  // The value under a key, which has to be there.
  Reader get(std::string_view key) const;
  // The object under a key; absent if the key is. Throws for another type.
  std::optional<Reader> object(std::string_view key) const;
  // The elements of the array under a key; empty if the key is absent. Throws for another type.
  std::vector<Reader> array(std::string_view key) const;
  // The elements of this value, which has to be an array.
  std::vector<Reader> elements() const;
  // This value as text, which it has to be.
  std::string text() const;

  // Code::kInvalidNetworkConfig: `<path of key>: <sentence>`.
  Error invalid(std::string_view key, std::string_view sentence) const;
  // Code::kInvalidNetworkConfig for an absent key.
  Error missing(std::string_view key) const;
  // Code::kDecodingFailure: `<path>: expected <expected>, got <the value>`.
  static Error wrong_type(const Reader& at, std::string_view expected);

 private:
  // The value under a key; null if it is absent or null.
  const nlohmann::json* find(std::string_view key) const;
  std::optional<Reader> child(std::string_view key) const;

  const nlohmann::json* value_;
  std::string path_;
};

}  // namespace cni
