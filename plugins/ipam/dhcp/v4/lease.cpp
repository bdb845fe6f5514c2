// What an ACK grants.
#include "pkg/types/error.hpp"
#include "plugins/ipam/dhcp/v4/message.hpp"
#include "plugins/ipam/dhcp/v4/options.hpp"

namespace cni::dhcp::v4 {
namespace {

constexpr std::uint32_t kInfinite = 0xffffffff;    // RFC 2131 3.3
constexpr std::uint32_t kDefaultLeaseTime = 3600;  // what the reference assumes, seconds
constexpr std::uint16_t kLeastMtu = 68;            // RFC 2132 5.1

Error refused(std::string text) { return {Code::kSystemCall, std::move(text)}; }

Ip granted_address(const Message& ack) {
  if (is_unicast(ack.yiaddr)) return ack.yiaddr;
  throw refused(cat("DHCPACK grants ", ack.yiaddr.to_string(),
                    ", which no host can have: correct the DHCP server's range of addresses"));
}

Ip server_identifier(const Message& ack) {
  const auto server = address_of(ack, option::kServerId);
  if (!server) throw refused("DHCP option Server Identifier not found in DHCPACK");
  if (is_unicast(*server)) return *server;
  throw refused(cat("DHCP option Server Identifier in DHCPACK is ", server->to_string(),
                    ", which no server can have"));
}

// A mask of no bits is refused as well: with it every address would seem to be on the link.
unsigned prefix_length(const Message& ack) {
  const auto mask = address_of(ack, option::kSubnetMask);
  if (!mask) {
    throw refused(
        "DHCP option Subnet Mask not found in DHCPACK: configure the DHCP server to send option 1");
  }
  for (unsigned length = 1; length <= 32; ++length) {
    if (Prefix{*Ip::parse("255.255.255.255"), length}.network().address == *mask) return length;
  }
  throw refused(cat("DHCP option Subnet Mask in DHCPACK is ", mask->to_string(),
                    ", which is no mask: correct option 1 in the DHCP server's configuration"));
}

Timing read_timing(const Message& ack, Time received) {
  const std::uint32_t lease = long_of(ack, option::kLeaseTime).value_or(kDefaultLeaseTime);
  if (lease == 0) throw refused("DHCP option IP Address Lease Time in DHCPACK is 0 seconds");
  if (lease == kInfinite) return {};
  const Time duration = std::chrono::seconds(lease);
  Time t1 = duration / 2;
  Time t2 = duration * 7 / 8;
  if (const auto said = long_of(ack, option::kRenewalTime)) t1 = std::chrono::seconds(*said);
  if (const auto said = long_of(ack, option::kRebindingTime)) t2 = std::chrono::seconds(*said);
  if (t1 <= Time{0} || t1 >= t2 || t2 >= duration) {
    t1 = duration / 2;
    t2 = duration * 7 / 8;
  }
  return {.renew_at = received + t1, .rebind_at = received + t2, .expires_at = received + duration};
}

}  // namespace

Lease4 read_lease(const Message& ack, Time received) {
  Lease4 out;
  out.address = {granted_address(ack), prefix_length(ack)};
  out.server = server_identifier(ack);
  out.routers = hosts_of(ack, option::kRouters);
  // A client that understands option 121 ignores option 33 beside it (RFC 3442).
  if (auto routes = classless_routes_of(ack)) {
    out.routes = std::move(*routes);
    out.has_classless_routes = true;
  } else {
    out.routes = static_routes_of(ack);
  }
  out.nameservers = hosts_of(ack, option::kNameservers);
  out.domain = name_of(ack, option::kDomainName).value_or("");
  out.search = search_domains_of(ack);
  const std::uint16_t mtu = short_of(ack, option::kInterfaceMtu).value_or(0);
  out.mtu = mtu >= kLeastMtu ? mtu : std::uint16_t{0};
  out.timing = read_timing(ack, received);
  return out;
}

}  // namespace cni::dhcp::v4
