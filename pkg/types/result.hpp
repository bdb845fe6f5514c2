// The result of ADD in its newest form, and its conversion from and to every version of the
// specification.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/types/address.hpp"
#include "pkg/types/json.hpp"

namespace cni {

struct Interface {
  std::string name;
  std::string mac;
  std::uint32_t mtu = 0;  // octets; 0: not said
  std::string sandbox;    // CNI_NETNS as given; empty for an interface of the host
  std::string socket_path;
  std::string pci_id;

  bool operator==(const Interface& other) const = default;
};

struct IpConfig {
  std::optional<int> interface;  // index in Result::interfaces
  Prefix address;
  std::optional<Ip> gateway;

  bool operator==(const IpConfig& other) const = default;
};

struct Route {
  Prefix destination;
  std::optional<Ip> gateway;
  std::uint32_t mtu = 0;       // octets; 0: not set
  std::uint32_t advmss = 0;    // octets; 0: not set
  std::uint32_t priority = 0;  // metric; 0: the kernel's default
  std::optional<int> table;
  std::optional<int> scope;  // 0 global, 253 link, 254 host

  bool operator==(const Route& other) const = default;
};

struct Dns {
  std::vector<std::string> nameservers;
  std::string domain;
  std::vector<std::string> search;
  std::vector<std::string> options;

  bool empty() const {
    return nameservers.empty() && domain.empty() && search.empty() && options.empty();
  }
  bool operator==(const Dns& other) const = default;
};

struct Result {
  std::vector<Interface> interfaces;
  std::vector<IpConfig> ips;
  std::vector<Route> routes;
  Dns dns;

  bool operator==(const Result& other) const = default;
};

// Reads a route or DNS object as they stand in results and in IPAM configs.
Route read_route(const Reader& in);
Dns read_dns(const Reader& in);

// Reads a result. Its version is its own cniVersion, or `default_version` if it has none. Throws
// Code::kDecodingFailure.
Result read_result(const Reader& in, std::string_view default_version);

// Reads the prevResult of a config of version config_version: the result's version has to be of the
// same family
// ({0.1.0, 0.2.0}, {0.3.0, 0.3.1, 0.4.0}, {1.0.0, 1.1.0}). Throws with "could not parse prevResult:
// ".
Result read_prev_result(const Reader& in, std::string_view config_version);

// The result as JSON in the form of `version` ("" is 0.1.0), indented by four spaces, without a
// trailing newline. Throws "cannot convert: no valid IP addresses" for 0.1.0 and 0.2.0 if there is
// no address, which they cannot express, and "unsupported CNI result version" for an unknown
// version.
std::string result_to_json(const Result& result, std::string_view version);

}  // namespace cni
