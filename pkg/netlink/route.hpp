// Routes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/address.hpp"

namespace cni::netlink {

enum class TableId : std::uint32_t { kUnspecified = 0, kDefault = 253, kMain = 254, kLocal = 255 };

// rtm_scope
inline constexpr int kScopeUniverse = 0;
inline constexpr int kScopeLink = 253;
inline constexpr int kScopeHost = 254;

struct Route {
  Prefix destination;
  std::optional<Ip> gateway;
  std::optional<Ip> source;  // preferred source
  LinkIndex link = LinkIndex::kNone;
  TableId table = TableId::kMain;
  std::optional<int> scope;    // absent: link without a gateway, universe with one
  std::uint32_t priority = 0;  // metric; 0: the kernel's default
  std::uint32_t mtu = 0;
  std::uint32_t advmss = 0;
  int protocol = 3;              // RTPROT_BOOT, what `ip route` and the reference write
  bool is_local = false;         // to the host itself (RTN_LOCAL)
  bool gateway_on_link = false;  // the gateway is reached over the link, whatever other routes say

  // "10.1.0.0/16 via 10.1.0.1", as messages name it.
  std::string describe() const;
};

// Adds a route beside existing ones: same destination with another gateway is accepted. EEXIST if
// it exists as a whole.
void add_route(Socket& socket, const Route& route);
// Replaces the route of same destination, metric and table, or adds it.
void replace_route(Socket& socket, const Route& route);
// False if there is no such route.
bool remove_route(Socket& socket, const Route& route);

struct RouteFilter {
  Family family = Family::kIpv4;
  std::optional<TableId> table;       // absent: all tables
  LinkIndex link = LinkIndex::kNone;  // kNone: all links
};
// Unicast routes; the kernel filters where it can (Linux 5.0). Routes without RTA_OIF match no link
// filter.
std::vector<Route> list_routes(Socket& socket, const RouteFilter& filter);

struct NextHop {
  LinkIndex link = LinkIndex::kNone;
  bool is_local = false;  // the address is one of this host's
};
// Where packets to the address would go, of this host or, with a link, arriving on that; absent if
// it cannot be reached. Asks for this one decision, whatever the number of routes.
std::optional<NextHop> find_next_hop(Socket& socket, const Ip& destination,
                                     LinkIndex arriving_on = LinkIndex::kNone);

// The link of the first default route in the main table, IPv4 first.
std::optional<LinkIndex> find_default_route_link(Socket& socket);

}  // namespace cni::netlink
