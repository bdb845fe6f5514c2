#include "libcni/value_check.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "libcni/key_hints.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/os/file.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/types/error.hpp"

namespace cni::libcni {
namespace {

using nlohmann::json;

struct Finding {
  std::string sentence;
  std::string hint;
};

bool is_of_type(const json& value, std::string_view type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "integer") return value.is_number_integer();
  return true;
}

std::string_view describe_type(std::string_view type) {
  if (type == "object") return "an object";
  if (type == "array") return "a list";
  if (type == "string") return "a string";
  if (type == "boolean") return "true or false";
  return "an integer";
}

std::string_view describe_value(const json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  if (value.is_string()) return "a string";
  if (value.is_boolean()) return "a boolean";
  return value.is_number_float() ? "a number with a fraction" : "an integer";
}

// What to write instead of a value of the wrong type.
std::string conversion_hint(const json& value, std::string_view type) {
  if (type == "array" && !value.is_array())
    return cat("write it in brackets: [", shown(value), "]");
  if (type == "string" && value.is_number())
    return cat("write it in quotes: \"", value.dump(), "\"");
  if (!value.is_string()) return "";
  const auto text = value.get<std::string>();
  const bool is_number = !text.empty() && text.size() < 19 &&
                         text.find_first_not_of("0123456789") == std::string::npos;
  const bool is_boolean = same_key(text, "true") || same_key(text, "false");
  if (type == "integer" && is_number) return cat("write ", text, " without quotes");
  if (type == "boolean" && is_boolean) {
    return cat("write ", same_key(text, "true") ? "true" : "false", " without quotes");
  }
  return "";
}

template <class Fn>
std::optional<Finding> refused_by(Fn&& check) {
  try {
    check();
  } catch (const Error& error) {
    return Finding{error.msg, ""};
  }
  return std::nullopt;
}

std::optional<Finding> check_ip(const std::string& text) {
  if (Ip::parse(text)) return std::nullopt;
  const auto prefix = Prefix::parse(text);
  return Finding{
      "not an IP address",
      prefix ? cat("leave the prefix length out: ", quote(prefix->address.to_string())) : ""};
}

std::optional<Finding> check_prefix(const std::string& text) {
  if (Prefix::parse(text)) return std::nullopt;
  const auto ip = Ip::parse(text);
  return Finding{"not an address with prefix length (CIDR notation)",
                 ip ? cat("add the prefix length, for example ",
                          quote(cat(ip->to_string(), ip->is_ipv4() ? "/24" : "/64")))
                    : ""};
}

std::optional<Finding> check_ip_or_prefix(const std::string& text) {
  if (Prefix::parse(text) || Ip::parse(text)) return std::nullopt;
  return Finding{"neither an IP address nor an address with prefix length", ""};
}

std::optional<Finding> check_mac(const std::string& text) {
  if (Mac::parse(text)) return std::nullopt;
  return Finding{"not a MAC address", "for example \"02:00:00:00:00:01\""};
}

std::optional<Finding> check_path(const std::string& text) {
  const bool climbs = cat(text, "/").find("/../") != std::string::npos;
  if (text.starts_with('/') && !climbs) return std::nullopt;
  return Finding{"an absolute path without \"..\" is needed", ""};
}

std::optional<Finding> check_plugin_name(const std::string& text) {
  if (os::is_path_component(text)) return std::nullopt;
  return Finding{"not the name of a plugin", "plugins are found by the name of their executable"};
}

std::optional<Finding> check_boolean_text(const std::string& text) {
  if (same_key(text, "true") || same_key(text, "false")) return std::nullopt;
  return Finding{"expected true or false", ""};
}

// What is wrong with a text of a format of pkg/types/schema.hpp.
std::optional<Finding> check_format(const std::string& text, std::string_view format) {
  // An empty text counts as absent.
  if (text.empty()) return std::nullopt;
  if (format == "cni-network-name") return refused_by([&] { skel::check_network_name(text); });
  if (format == "cni-ip") return check_ip(text);
  if (format == "cni-prefix") return check_prefix(text);
  if (format == "cni-ip-or-prefix") return check_ip_or_prefix(text);
  if (format == "cni-mac") return check_mac(text);
  if (format == "cni-link-name") return refused_by([&] { netlink::check_link_name(text); });
  if (format == "cni-plugin-name") return check_plugin_name(text);
  if (format == "cni-absolute-path") return check_path(text);
  if (format == "cni-boolean-text") return check_boolean_text(text);
  return std::nullopt;
}

std::optional<Finding> check_choice(const json& value, const json& choices) {
  if (value == "" || std::find(choices.begin(), choices.end(), value) != choices.end()) {
    return std::nullopt;
  }
  std::string list;
  for (const json& choice : choices) list += cat(list.empty() ? "" : ", ", choice.dump());
  const auto texts = choices.get<std::vector<std::string>>();
  const auto similar =
      value.is_string() ? most_similar(value.get<std::string>(), texts) : std::nullopt;
  return Finding{cat("has to be one of ", list),
                 similar ? cat("did you mean ", quote(*similar), "?") : ""};
}

bool is_in_range(const json& value, const json& schema) {
  const double number = value.get<double>();
  return number >= schema.value("minimum", number) && number <= schema.value("maximum", number);
}

std::string describe_range(const json& range) {
  return cat("from ", range["minimum"].dump(), " to ", range["maximum"].dump());
}

std::optional<Finding> check_range(const json& value, const json& schema) {
  const auto alternatives = schema.find("anyOf");
  if (alternatives != schema.end()) {
    const json& range = alternatives->back();
    if (value == 0 || is_in_range(value, range)) return std::nullopt;
    return Finding{cat("has to be 0 or ", describe_range(range)), ""};
  }
  if (is_in_range(value, schema)) return std::nullopt;
  return Finding{cat("has to be ", describe_range(schema)), ""};
}

bool is_default(const json& value, const json& schema) {
  return value.is_array() ? value.empty() : value == schema.value("default", json());
}

std::optional<Finding> find_fault(const json& value, const json& schema) {
  if (value.is_number_integer()) {
    if (auto finding = check_range(value, schema)) return finding;
  }
  if (const auto choices = schema.find("enum"); choices != schema.end()) {
    if (auto finding = check_choice(value, *choices)) return finding;
  }
  if (value.is_string()) {
    return check_format(value.get<std::string>(), schema.value("format", ""));
  }
  return std::nullopt;
}

}  // namespace

bool has_type(const json& value, const json& schema) {
  const auto type = schema.find("type");
  if (type == schema.end()) return true;
  if (type->is_string()) return is_of_type(value, type->get<std::string>());
  return std::any_of(type->begin(), type->end(),
                     [&](const json& one) { return is_of_type(value, one.get<std::string>()); });
}

Problem type_problem(const json& value, const std::string& path, const json& schema) {
  const json& types = schema["type"];
  const auto type = (types.is_array() ? types[0] : types).get<std::string>();
  return {Severity::kError, path, shown(value),
          cat("expected ", describe_type(type), ", got ", describe_value(value)),
          conversion_hint(value, type)};
}

void check_value(const json& value, const std::string& path, const json& schema,
                 const Report& report) {
  if (auto finding = find_fault(value, schema)) {
    report({Severity::kError, path, shown(value), finding->sentence, finding->hint});
    return;
  }
  if (schema.contains("x-cni-unsupported") && !is_default(value, schema)) {
    report({Severity::kError, path, shown(value), "not supported",
            schema["x-cni-unsupported"].get<std::string>()});
  }
  if (schema.contains("deprecationMessage")) {
    report({Severity::kWarning, path, shown(value), "an old way to write it",
            schema["deprecationMessage"].get<std::string>()});
  }
}

}  // namespace cni::libcni
