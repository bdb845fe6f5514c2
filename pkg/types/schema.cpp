#include "pkg/types/schema.hpp"

#include <nlohmann/json.hpp>

#include "pkg/types/error.hpp"

namespace cni::schema {
namespace {

// The value at a path such as "ipam.type"; absent if there is none, or no object on the way.
std::optional<Reader> find_value(const Reader& in, std::string_view path) {
  if (!in.value().is_object()) return std::nullopt;
  const std::size_t dot = path.find('.');
  const std::string_view name = path.substr(0, dot);
  if (!in.has(name)) return std::nullopt;
  const Reader found = in.get(name);
  return dot == std::string_view::npos ? found : find_value(found, path.substr(dot + 1));
}

bool holds(const std::optional<Reader>& at) {
  if (!at) return false;
  if (at->value().is_boolean()) return at->value().get<bool>();
  return at->value().is_string() && !at->text().empty();
}

std::string describe(const Reader& in, std::string_view condition) {
  const auto at = find_value(in, condition);
  const bool is_text = at && at->value().is_string();
  return cat(condition, " is ", is_text ? quote(at->text()) : "true");
}

}  // namespace

std::string_view to_string(Format format) {
  switch (format) {
    case Format::kNone:
      return "";
    case Format::kIp:
      return "cni-ip";
    case Format::kPrefix:
      return "cni-prefix";
    case Format::kIpOrPrefix:
      return "cni-ip-or-prefix";
    case Format::kMac:
      return "cni-mac";
    case Format::kLinkName:
      return "cni-link-name";
    case Format::kNetworkName:
      return "cni-network-name";
    case Format::kPluginName:
      return "cni-plugin-name";
    case Format::kPath:
      return "cni-absolute-path";
    case Format::kBooleanText:
      break;
  }
  return "cni-boolean-text";
}

void read_keys(const Reader& in, const Object& object, void* out) {
  for (const Key& key : object.keys) {
    if (key.read != nullptr) key.read(in, key, out);
  }
}

void read_readable_keys(const Reader& in, const Object& object, void* out) {
  for (const Key& key : object.keys) {
    if (key.read == nullptr) continue;
    try {
      key.read(in, key, out);
    } catch (const Error&) {
      // ADD reports it; here the key's default is as good as any value.
    }
  }
}

bool is_broken(const Reader& in, const Rule& rule) {
  return !rule.first_condition.empty() && holds(find_value(in, rule.first_condition)) &&
         holds(find_value(in, rule.second_condition));
}

std::string describe_conflict(const Reader& in, const Rule& rule) {
  const std::string second = describe(in, rule.second_condition);
  if (second.ends_with(" is true")) {
    return cat(rule.first_condition, " and ", rule.second_condition, " are both true");
  }
  return cat(describe(in, rule.first_condition), " and ", second);
}

void check_rules(const Reader& in, const Object& object) {
  for (const Rule& rule : object.rules) {
    if (!is_broken(in, rule)) continue;
    throw Error(Code::kInvalidNetworkConfig, std::string(rule.sentence),
                describe_conflict(in, rule));
  }
}

}  // namespace cni::schema
