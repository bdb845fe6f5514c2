// What a server has granted.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/types/address.hpp"
#include "pkg/types/json.hpp"
#include "pkg/types/result.hpp"
#include "plugins/ipam/dhcp/lease_request.hpp"
#include "plugins/ipam/dhcp/time.hpp"

namespace cni::dhcp {

// When a lease is renewed at its server (T1), at any server (T2), and ends.
struct Timing {
  Time renew_at = kNever;
  Time rebind_at = kNever;
  Time expires_at = kNever;

  bool operator==(const Timing& other) const = default;
};

struct LeasedRoute {
  Prefix destination;
  std::optional<Ip> router;  // absent: the destination is on the link

  bool operator==(const LeasedRoute& other) const = default;
};

// A DHCPv4 lease (RFC 2131, RFC 2132).
struct Lease4 {
  Prefix address;           // yiaddr with the length of option 1
  Ip server;                // option 54
  std::vector<Ip> routers;  // option 3
  // Options 121 (RFC 3442), or else 33 with the lengths of the addresses' classes.
  std::vector<LeasedRoute> routes;
  bool has_classless_routes = false;  // option 121: routers are to be ignored
  std::vector<Ip> nameservers;        // option 6
  std::string domain;                 // option 15
  std::vector<std::string> search;    // option 119 (RFC 3397)
  std::uint16_t mtu = 0;              // option 26; 0: not said
  Timing timing;

  bool operator==(const Lease4& other) const = default;
};

// A DHCPv6 lease of one address (RFC 8415, identity association for non-temporary addresses).
struct Lease6 {
  Ip address;
  std::uint32_t iaid = 0;
  Bytes client_id;              // DUID; the one that the lease was made with is kept for its life
  Bytes server_id;              // DUID
  std::vector<Ip> nameservers;  // option 23 (RFC 3646)
  std::vector<std::string> search;  // option 24
  Time preferred_until = kNever;
  Timing timing;

  bool operator==(const Lease6& other) const = default;
};

struct Lease {
  std::optional<Lease4> ipv4;
  std::optional<Lease6> ipv6;

  bool operator==(const Lease& other) const = default;
};

// Letters, digits and "-_.": what may stand in a container's resolv.conf. A server's names that are
// anything else are left out of JSON and of results.
bool is_domain_name(std::string_view text);

nlohmann::json to_json(const Lease& lease);
// Throws Code::kDecodingFailure.
Lease read_lease(const Reader& in);

// What the plugin answers ADD with. Routes: of option 121 alone if that is there (an on-link one
// with scope 253 and gateway 0.0.0.0, as the reference); else those of option 33, then the default
// route by the first router. `priority` stands in each.
Result to_result(const Lease& lease, std::uint32_t priority);

}  // namespace cni::dhcp
