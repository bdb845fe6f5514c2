// The description of configuration keys: one table for each object of a configuration, with one row
// for each key. From the same rows a plugin reads its configuration and the project's JSON Schema
// files are written (schema/), so that what is documented is what is read.
//
//   constexpr auto kKeys = schema::keys<Config>(
//       schema::key<&Config::bridge>("bridge", "Name of the bridge.", {.fallback = R"("cni0")"}),
//       schema::key<&Config::is_gateway>("isGateway", "Give the bridge the gateway's address."));
//   constexpr schema::Table<Config> kTable(kKeys);
//   ...
//   schema::read(in, kTable, config);
//
// Tables are constants: nothing is built when a program starts.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "pkg/types/address.hpp"
#include "pkg/types/json.hpp"

namespace cni::schema {

// The JSON type of a key's value, or of the innermost elements if it is a list.
enum class Type : std::uint8_t { kAny, kBoolean, kInteger, kString, kObject };

// What a text has to be. Only described here; reading and the checks of the plugin enforce it.
enum class Format : std::uint8_t {
  kNone,
  kIp,
  kPrefix,      // address with prefix length
  kIpOrPrefix,  // address, with or without prefix length
  kMac,
  kLinkName,     // of a network interface
  kNetworkName,  // letters, digits and "_.-"
  kPluginName,   // of an executable in the plugin folders
  kPath,
  kBooleanText,  // true or false, also as text
};
// The name that the format has in the schema files; empty for kNone.
std::string_view to_string(Format format);

struct Object;

// All that can be said of a key beside its name, type and meaning.
struct Details {
  bool required = false;  // `key` throws without it; other rows only say so
  Format format = Format::kNone;
  std::string_view fallback;                  // the default, as JSON text; empty: none to name
  std::span<const std::string_view> choices;  // the only texts allowed; empty: any
  std::string_view noun;                      // how messages call what is chosen: "macvlan mode"
  std::optional<std::int64_t> minimum;
  std::optional<std::int64_t> maximum;
  bool zero_is_default = false;  // 0 is allowed whatever the minimum
  std::string_view unsupported;  // why only the default is accepted
  std::string_view deprecated;   // what to write instead
};

struct Key {
  std::string_view name;
  std::string_view about;  // a sentence
  Type type = Type::kAny;
  std::uint8_t lists = 0;          // 1: a list of such values, 2: a list of lists
  const Object* object = nullptr;  // the keys of kObject; null: any
  Details details;
  // Reads the key into the struct of its table. Null: something else reads it.
  void (*read)(const Reader& in, const Key& key, void* out) = nullptr;
};

// What has to hold between the keys of an object. With conditions: not both at once. Without: what
// the sentence says, which plugin and validation check in code under the rule's name.
struct Rule {
  std::string_view name;
  std::string_view sentence;         // the message
  std::string_view first_condition;  // a key, or a path as "ipam.type": true, or a text not empty
  std::string_view second_condition;
};

struct Object {
  std::span<const Key> keys;
  std::span<const Rule> rules;
  bool open = false;  // keys that are not described are no mistake
};

// A row of a table whose keys are read into a Config.
template <class Config>
struct Row {
  Key key;
};

template <class Config, std::size_t kSize>
struct Rows {
  std::array<Key, kSize> keys;
};

// The rows of one object. All of them have to be of the same Config.
template <class Config, class... RowTypes>
consteval Rows<Config, sizeof...(RowTypes)> keys(const RowTypes&... rows) {
  return {{static_cast<const Row<Config>&>(rows).key...}};
}

// The keys of an object that is read into a Config. The rows have to outlive it.
template <class Config>
struct Table : Object {
  template <std::size_t kSize>
  explicit constexpr Table(const Rows<Config, kSize>& rows, std::span<const Rule> object_rules = {})
      : Object{.keys = rows.keys, .rules = object_rules} {}
};

// A table for an object beside whose keys others may stand.
template <class Config>
constexpr Table<Config> open(Table<Config> table) {
  table.open = true;
  return table;
}

// Reads every key of a table in its order, as Reader::optional and Reader::required do.
void read_keys(const Reader& in, const Object& object, void* out);
template <class Config>
void read(const Reader& in, const Table<Config>& table, Config& out) {
  read_keys(in, table, &out);
}

// For DEL and GC, which a mistake must not stop: reads what can be read and leaves the rest as it
// is. Throws nothing for a mistake in the configuration.
void read_readable_keys(const Reader& in, const Object& object, void* out);
template <class Config>
void read_readable(const Reader& in, const Table<Config>& table, Config& out) {
  read_readable_keys(in, table, &out);
}

// Throws Code::kInvalidNetworkConfig with the sentence of the first rule whose two conditions both
// hold. Values of another type fulfil no condition.
void check_rules(const Reader& in, const Object& object);
// Why a rule's two conditions contradict each other: "a and b are both true".
std::string describe_conflict(const Reader& in, const Rule& rule);
// True if the rule has two conditions and both hold.
bool is_broken(const Reader& in, const Rule& rule);

namespace internal {

template <class T>
struct Member;
template <class Class, class Value>
struct Member<Value Class::*> {
  using Config = Class;
  using Type = Value;
};
template <auto kMember>
using ConfigOf = typename Member<decltype(kMember)>::Config;
template <auto kMember>
using ValueOf = typename Member<decltype(kMember)>::Type;

// A type of a member, without what may be around it.
template <class T>
struct Inner {
  using Type = T;
  static constexpr std::uint8_t kLists = 0;
};
template <class T>
struct Inner<std::optional<T>> : Inner<T> {};
template <class T>
struct Inner<std::vector<T>> {
  using Type = typename Inner<T>::Type;
  static constexpr std::uint8_t kLists = Inner<T>::kLists + 1;
};

template <class T>
consteval Type type_of() {
  if (std::is_same_v<T, bool>) return Type::kBoolean;
  if (std::is_integral_v<T>) return Type::kInteger;
  if (std::is_same_v<T, std::map<std::string, bool>>) return Type::kObject;
  return Type::kString;
}

template <class T>
consteval Details with_defaults(Details details) {
  if (details.format == Format::kNone) {
    if (std::is_same_v<T, Ip>) details.format = Format::kIp;
    if (std::is_same_v<T, Prefix>) details.format = Format::kPrefix;
    if (std::is_same_v<T, Mac>) details.format = Format::kMac;
  }
  if constexpr (std::is_same_v<T, bool>) {
    if (details.fallback.empty()) details.fallback = "false";
  } else if constexpr (std::is_integral_v<T> && sizeof(T) <= 4) {
    if (!details.minimum) details.minimum = std::numeric_limits<T>::min();
    if (!details.maximum) details.maximum = std::numeric_limits<T>::max();
  }
  return details;
}

template <auto kMember>
void read_member(const Reader& in, const Key& key, void* out) {
  auto& member = static_cast<ConfigOf<kMember>*>(out)->*kMember;
  if (key.details.required) {
    in.required(key.name, member);
  } else {
    in.optional(key.name, member);
  }
}

template <auto kMember, const auto& kChoices>
void read_choice(const Reader& in, const Key& key, void* out) {
  using Enum = ValueOf<kMember>;
  in.choice(key.name, static_cast<ConfigOf<kMember>*>(out)->*kMember,
            std::span<const Choice<Enum>>(kChoices), key.details.noun);
}

template <const auto& kChoices>
inline constexpr auto kTexts = [] {
  std::array<std::string_view, std::size(kChoices)> texts;
  for (std::size_t i = 0; i < texts.size(); ++i) texts[i] = kChoices[i].text;
  return texts;
}();

// A list of elements, or of lists of elements, that are read later.
template <auto kMember>
void read_elements(const Reader& in, const Key& key, void* out) {
  auto& member = static_cast<ConfigOf<kMember>*>(out)->*kMember;
  for (const Reader& element : in.array(key.name)) {
    if constexpr (std::is_same_v<ValueOf<kMember>, std::vector<Reader>>) {
      member.push_back(element);
    } else {
      member.push_back(element.elements());
    }
  }
}

template <auto kMember, const auto& kTable>
void read_objects(const Reader& in, const Key& key, void* out) {
  for (const Reader& element : in.array(key.name)) {
    typename ValueOf<kMember>::value_type value{};
    schema::read(element, kTable, value);
    (static_cast<ConfigOf<kMember>*>(out)->*kMember).push_back(std::move(value));
  }
}

template <auto kMember, const auto& kTable>
void read_object(const Reader& in, const Key& key, void* out) {
  const auto object = in.object(key.name);
  if (object) schema::read(*object, kTable, static_cast<ConfigOf<kMember>*>(out)->*kMember);
}

inline void read_nested(const Reader& in, const Key& key, void* out) {
  if (const auto object = in.object(key.name)) read_keys(*object, *key.object, out);
}

template <class Config, void (*kRead)(const Reader&, std::string_view, Config&)>
void read_by(const Reader& in, const Key& key, void* out) {
  kRead(in, key.name, *static_cast<Config*>(out));
}

}  // namespace internal

// A key that is read into a member of any type that Reader::optional knows. Type, format and, for
// numbers, the range follow from the member's type unless `details` says more.
template <auto kMember>
consteval Row<internal::ConfigOf<kMember>> key(std::string_view name, std::string_view about,
                                               const Details& details = {}) {
  using Inner = internal::Inner<internal::ValueOf<kMember>>;
  using Value = typename Inner::Type;
  return {{.name = name,
           .about = about,
           .type = internal::type_of<Value>(),
           .lists = Inner::kLists,
           .details = internal::with_defaults<Value>(details),
           .read = internal::read_member<kMember>}};
}

// A text that is one of a table's, which says the member's value; details.noun names it.
template <auto kMember, const auto& kChoices>
consteval Row<internal::ConfigOf<kMember>> choice(std::string_view name, std::string_view about,
                                                  Details details) {
  details.choices = internal::kTexts<kChoices>;
  return {{.name = name,
           .about = about,
           .type = Type::kString,
           .details = details,
           .read = internal::read_choice<kMember, kChoices>}};
}

// A list whose elements the plugin reads itself: the member is a vector of Reader, or a vector of
// vectors of them for a list of lists.
template <auto kMember>
consteval Row<internal::ConfigOf<kMember>> elements(std::string_view name, std::string_view about,
                                                    Type type, const Details& details = {}) {
  return {{.name = name,
           .about = about,
           .type = type,
           .lists = internal::Inner<internal::ValueOf<kMember>>::kLists,
           .details = details,
           .read = internal::read_elements<kMember>}};
}
template <auto kMember>
consteval Row<internal::ConfigOf<kMember>> elements(std::string_view name, std::string_view about,
                                                    const Object& object) {
  return {{.name = name,
           .about = about,
           .type = Type::kObject,
           .lists = internal::Inner<internal::ValueOf<kMember>>::kLists,
           .object = &object,
           .read = internal::read_elements<kMember>}};
}

// A list of objects of a table, read into a vector of its structs.
template <auto kMember, const auto& kTable>
consteval Row<internal::ConfigOf<kMember>> objects(std::string_view name, std::string_view about) {
  return {{.name = name,
           .about = about,
           .type = Type::kObject,
           .lists = 1,
           .object = &kTable,
           .read = internal::read_objects<kMember, kTable>}};
}

// An object of a table, read into a member of the table's struct.
template <auto kMember, const auto& kTable>
consteval Row<internal::ConfigOf<kMember>> object(std::string_view name, std::string_view about) {
  return {{.name = name,
           .about = about,
           .type = Type::kObject,
           .object = &kTable,
           .read = internal::read_object<kMember, kTable>}};
}

// An object whose keys are read into the same struct as those around it.
template <class Config>
consteval Row<Config> nested(std::string_view name, std::string_view about,
                             const Table<Config>& table) {
  return {{.name = name,
           .about = about,
           .type = Type::kObject,
           .object = &table,
           .read = internal::read_nested}};
}

// A key that a function reads: void fn(const Reader& in, std::string_view name, Config& out), where
// `in` is the object around the key. `kind` describes it.
template <class Config, void (*kRead)(const Reader&, std::string_view, Config&)>
consteval Row<Config> by(const Key& kind) {
  Key key = kind;
  key.read = internal::read_by<Config, kRead>;
  return {key};
}

// A key that is described here and read elsewhere.
template <class Config>
consteval Row<Config> described(const Key& kind) {
  return {kind};
}

// Whether a plugin has an ipam section of its own or calls address managers with it.
enum class IpamUse : std::uint8_t { kNone, kOptional, kRequired, kManager };

// What a plugin says of itself.
struct Description {
  std::string_view about;        // a sentence
  const Object* keys = nullptr;  // beside those of every plugin; null: none
  IpamUse ipam = IpamUse::kNone;
};

}  // namespace cni::schema
