#include "plugins/ipam/dhcp/lease_request.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <climits>

#include "pkg/skel/request.hpp"
#include "pkg/types/error.hpp"
#include "plugins/ipam/dhcp/octets.hpp"

namespace cni::dhcp {
namespace {

// One octet of the 255 that an option can hold goes to the type of the client identifier.
constexpr std::size_t kLongestKeyText = 254;
constexpr std::size_t kLongestOption = 255;
constexpr std::uint8_t kPad = 0;
constexpr std::uint8_t kEnd = 255;

// What the client writes itself: requested address, overload, message type, server identifier,
// parameter request list, maximum message size.
constexpr std::array<std::uint8_t, 6> kOfTheProtocol = {50, 52, 53, 54, 55, 57};

std::uint8_t read_code(const Reader& in, std::string_view key) {
  std::uint32_t code = 0;
  in.required(key, code);
  if (code > 255) throw in.invalid(key, cat(code, " is no option code (0 to 255)"));
  return static_cast<std::uint8_t>(code);
}

std::vector<ProvidedOption> read_provided(const Reader& in) {
  std::vector<ProvidedOption> out;
  for (const Reader& element : in.array("provide")) {
    ProvidedOption option{.code = read_code(element, "code"),
                          .value = read_hex(element, "value", kLongestOption)};
    if (!may_be_provided(option.code)) {
      throw element.invalid("code", cat(option.code, " is an option of the protocol's own"));
    }
    if (!out.empty() && out.back().code >= option.code) {
      throw element.invalid("code", cat(option.code, " stands after ", out.back().code,
                                        ": options are sent once, in the order of their codes"));
    }
    out.push_back(std::move(option));
  }
  return out;
}

Bytes read_requested(const Reader& in) {
  Bytes out = read_hex(in, "request", kLongestOption);
  if (out.empty()) throw in.invalid("request", "no option is asked for");
  for (const std::uint8_t code : out) {
    if (may_be_requested(code)) continue;
    throw in.invalid("request", cat(code, " cannot be asked for"));
  }
  return out;
}

std::string read_path(const Reader& in, std::string_view key) {
  std::string path;
  in.required(key, path);
  const bool usable =
      path.size() < PATH_MAX && path.starts_with('/') && path.find('\0') == std::string::npos;
  if (usable) return path;
  throw in.invalid(key, cat("expected an absolute path, got ", quote(path.substr(0, PATH_MAX))));
}

}  // namespace

std::string LeaseKey::to_string() const {
  return cat(container_id, "/", network, "/", ifname).substr(0, kLongestKeyText);
}

bool may_be_requested(std::uint8_t code) { return code != kPad && code != kEnd; }

bool may_be_provided(std::uint8_t code) {
  for (const std::uint8_t own : kOfTheProtocol) {
    if (code == own) return false;
  }
  return may_be_requested(code);
}

nlohmann::json to_json(const LeaseKey& key) {
  return {{"containerID", key.container_id}, {"network", key.network}, {"ifname", key.ifname}};
}

LeaseKey read_lease_key(const Reader& in) {
  LeaseKey key;
  in.required("containerID", key.container_id);
  in.required("network", key.network);
  in.required("ifname", key.ifname);
  try {
    skel::check_container_id(key.container_id);
    skel::check_network_name(key.network);
    skel::check_ifname(key.ifname);
  } catch (Error& error) {
    error.code = Code::kInvalidNetworkConfig;  // here they are no variables of the environment
    throw;
  }
  return key;
}

nlohmann::json to_json(const LeaseRequest& request) {
  nlohmann::json provide = nlohmann::json::array();
  for (const ProvidedOption& option : request.provide) {
    provide.push_back({{"code", option.code}, {"value", to_hex(option.value)}});
  }
  return {{"key", to_json(request.key)},   {"netns", request.netns},
          {"ipv4", request.ipv4},          {"ipv6", request.ipv6},
          {"provide", std::move(provide)}, {"request", to_hex(request.request)},
          {"priority", request.priority}};
}

LeaseRequest read_lease_request(const Reader& in) {
  LeaseRequest request;
  const auto key = in.object("key");
  if (!key) throw in.missing("key");
  request.key = read_lease_key(*key);
  request.netns = read_path(in, "netns");
  in.required("ipv4", request.ipv4);
  in.required("ipv6", request.ipv6);
  if (!request.ipv4 && !request.ipv6) {
    throw in.invalid("ipv4", "neither IPv4 nor IPv6 is asked for");
  }
  request.provide = read_provided(in);
  request.request = read_requested(in);
  in.optional("priority", request.priority);
  return request;
}

}  // namespace cni::dhcp
