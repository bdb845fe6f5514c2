// What an attachment wants to lease: sent by the plugin to the daemon, and kept with the lease so
// that it can be renewed after a restart.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/types/json.hpp"

namespace cni::dhcp {

using Bytes = std::vector<std::uint8_t>;

// Whose lease it is. There is at most one of each.
struct LeaseKey {
  std::string container_id;
  std::string network;
  std::string ifname;

  // `<containerID>/<network>/<ifname>`, cut to 254 octets: with an octet 0 before it the client
  // identifier (option 61), as the reference has it.
  std::string to_string() const;

  auto operator<=>(const LeaseKey& other) const = default;
};

nlohmann::json to_json(const LeaseKey& key);
// Throws as read_lease_request does.
LeaseKey read_lease_key(const Reader& in);

// Whether a configuration may provide or ask for the option: the others are the protocol's own
// (lengths, lease, server, message type and size; RFC 2132, section 9).
bool may_be_provided(std::uint8_t code);
bool may_be_requested(std::uint8_t code);

// A DHCPv4 option that the client sends.
struct ProvidedOption {
  std::uint8_t code = 0;
  Bytes value;  // at most 255 octets

  bool operator==(const ProvidedOption& other) const = default;
};

struct LeaseRequest {
  LeaseKey key;
  std::string netns;  // absolute path, as the plugin sees it: the daemon's prefix is not in it
  bool ipv4 = true;
  bool ipv6 = false;
  // In the order of their codes. Options 12, 60, 61 and 77 among them take the place of what would
  // be sent by default.
  std::vector<ProvidedOption> provide;
  Bytes request;               // what option 55 lists, in this order; 1 to 255 codes
  std::uint32_t priority = 0;  // metric of the lease's routes; 0: the kernel's default

  bool operator==(const LeaseRequest& other) const = default;
};

nlohmann::json to_json(const LeaseRequest& request);
// Checks everything, whoever wrote it: names, lengths, an absolute path, at least one family.
// Throws Code::kDecodingFailure or kInvalidNetworkConfig.
LeaseRequest read_lease_request(const Reader& in);

}  // namespace cni::dhcp
