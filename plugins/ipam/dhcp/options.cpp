#include "plugins/ipam/dhcp/options.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>

#include "pkg/types/error.hpp"
#include "plugins/ipam/dhcp/names.hpp"
#include "plugins/ipam/dhcp/v4/message.hpp"

namespace cni::dhcp {
namespace {

using namespace v4::option;  // the codes

constexpr std::size_t kLongestValue = 255;

struct Name {
  std::string_view text;
  std::uint8_t code;
};
constexpr std::array<Name, 6> kNames = {{{"dhcp-client-identifier", kClientId},
                                         {"subnet-mask", kSubnetMask},
                                         {"routers", kRouters},
                                         {"host-name", kHostName},
                                         {"user-class", kUserClass},
                                         {"vendor-class-identifier", kVendorClassId}}};

// What a result is made of. A server that sends only what is asked for would leave the rest out.
// Classless routes have to stand before the two that they take the place of (RFC 3442).
constexpr std::array<std::uint8_t, 8> kDefaults = {kClasslessRoutes, kRouters,     kStaticRoutes,
                                                   kSubnetMask,      kNameservers, kDomainName,
                                                   kDomainSearch,    kInterfaceMtu};
// Where a configuration wants neither defaults nor anything else.
constexpr std::array<std::uint8_t, 4> kLeast = {kSubnetMask, kRouters, kDomainName, kNameservers};

Error cannot_parse(std::string_view path, std::string_view text, std::string_view reason) {
  return Error(Code::kInvalidNetworkConfig,
               cat("Can not parse option ", quote(text), ": ", reason, " (", path, ")"));
}

std::uint8_t parse_option(std::string_view text, std::string_view path) {
  for (const Name& name : kNames) {
    if (name.text == text) return name.code;
  }
  std::uint8_t code = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), code);
  if (error == std::errc() && end == text.data() + text.size()) return code;
  std::string known;
  for (const Name& name : kNames) known += cat(name.text, ", ");
  throw cannot_parse(path, text, cat("known are ", known, "and numbers from 1 to 254"));
}

// The value of a key; absent without one. What is no pair is somebody else's, as it is for the
// reference.
std::optional<std::string_view> find_argument(std::string_view args, std::string_view key) {
  std::optional<std::string_view> out;
  while (!args.empty() && !key.empty()) {
    const std::string_view pair = args.substr(0, args.find(';'));
    args.remove_prefix(std::min(pair.size() + 1, args.size()));
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || pair.substr(0, equals) != key) continue;
    out = pair.substr(equals + 1);
  }
  return out;
}

bool is_label(std::string_view text) {
  if (text.empty() || text.size() > 63) return false;
  const auto is_inner = [](char c) {
    return c == '-' || is_letter_or_digit(static_cast<std::uint8_t>(c));
  };
  return text.front() != '-' && text.back() != '-' &&
         std::all_of(text.begin(), text.end(), is_inner);
}

// RFC 1123 2.1.
bool is_host_name(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  while (true) {
    const std::size_t dot = text.find('.');
    if (!is_label(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

using Values = std::map<std::uint8_t, std::string_view>;

void provide(const Provide& entry, std::string_view path, std::string_view args, Values& values) {
  const std::uint8_t code = parse_option(entry.option, cat(path, ".option"));
  if (!may_be_provided(code)) {
    throw cannot_parse(cat(path, ".option"), entry.option,
                       "the protocol uses it itself; it cannot be provided");
  }
  const auto set = [&](std::string_view value, std::string_view source) {
    if (value.size() > kLongestValue) {
      throw Error(Code::kInvalidNetworkConfig,
                  cat("value too long for option ", quote(entry.option), ": ", value.size(),
                      " octets, and an option holds 255 (", source, ")"));
    }
    values[code] = value;
  };
  if (!entry.value.empty()) set(entry.value, cat(path, ".value"));
  const auto argument = find_argument(args, entry.from_arg);
  if (argument) set(*argument, cat("CNI_ARGS ", entry.from_arg));
}

void append_once(std::uint8_t code, Bytes& out) {
  if (std::find(out.begin(), out.end(), code) == out.end()) out.push_back(code);
}

void append_defaults(Bytes& out) {
  const auto is_route = [](std::uint8_t code) {
    return code == kClasslessRoutes || code == kRouters || code == kStaticRoutes;
  };
  // An entry that asks for routers gives classless routes its own place.
  const auto route = std::find_if(out.begin(), out.end(), is_route);
  const bool has_classless = std::find(out.begin(), out.end(), kClasslessRoutes) != out.end();
  if (route != out.end() && !has_classless) out.insert(route, kClasslessRoutes);
  for (const std::uint8_t code : kDefaults) append_once(code, out);
}

}  // namespace

std::vector<ProvidedOption> provided_options(const std::vector<Provide>& entries,
                                             std::string_view args) {
  Values values;
  const auto pod = find_argument(args, "K8S_POD_NAME");
  if (pod && is_host_name(*pod)) values[kHostName] = *pod;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    provide(entries[i], cat("ipam.provide[", i, "]"), args, values);
  }
  std::vector<ProvidedOption> out;
  for (const auto& [code, value] : values) {
    out.push_back({.code = code, .value = Bytes(value.begin(), value.end())});
  }
  return out;
}

Bytes requested_options(const std::vector<Ask>& entries) {
  Bytes out;
  bool skip_defaults = false;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    skip_defaults = skip_defaults || entries[i].skip_default;
    if (entries[i].option.empty() && entries[i].skip_default) continue;
    const std::string path = cat("ipam.request[", i, "].option");
    const std::uint8_t code = parse_option(entries[i].option, path);
    if (!may_be_requested(code)) {
      throw cannot_parse(path, entries[i].option, "it has no content that could be asked for");
    }
    append_once(code, out);
  }
  if (!skip_defaults) append_defaults(out);
  if (out.empty()) out.assign(kLeast.begin(), kLeast.end());
  return out;
}

}  // namespace cni::dhcp
