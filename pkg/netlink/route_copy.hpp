// Routes as the kernel holds them, with all that Route does not say (further metrics, several next
// hops, preferences, lifetimes), to be put elsewhere as they are.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pkg/netlink/route.hpp"
#include "pkg/netlink/socket.hpp"

namespace cni::netlink {

struct KernelRoute {
  // What Route says. Of several next hops no gateway and no link is here, see `links`.
  Route route;
  // rtm_type: RTN_UNICAST, RTN_LOCAL, RTN_BROADCAST ...
  int type = 0;
  // Over which links it leads, one for each next hop; empty for those that lead nowhere.
  std::vector<LinkIndex> links;
  // rtmsg and the attributes behind it.
  std::string content;

  bool leads_over(LinkIndex link) const;
  // Whether the kernel made it for an address, and makes and removes it with that.
  bool is_made_by_kernel() const;
  // Whether it leads to somewhere else: RTN_UNICAST.
  bool is_unicast() const;
  // Whether it is one to an address of the host itself: RTN_LOCAL.
  bool is_local() const;
};

// Routes of every type, of which any next hop leads over the filter's link if it names one; those
// without a gateway first, so that gateways can be reached when they are put in this order. Cached
// routes are left out.
std::vector<KernelRoute> list_kernel_routes(Socket& socket, const RouteFilter& filter);

// Puts the route into a table, in place of one with the same destination and metric. Whether a next
// hop was dead or offloaded is not kept.
void put_kernel_route(Socket& socket, const KernelRoute& route, TableId table);
// Adds the route to a table beside those with the same destination and metric, which stay. In IPv4
// the first of them is the one that counts. False if the route is there.
enum class Among { kFirst, kLast };
bool add_kernel_route(Socket& socket, const KernelRoute& route, TableId table, Among others);
// False if there is no such route in its own table.
bool remove_kernel_route(Socket& socket, const KernelRoute& route);

// What of the route leads over the link, as a route that can be added and removed by itself. Absent
// if nothing does, or if its next hops cannot be told apart: of IPv4, or in an object.
std::optional<KernelRoute> part_over(const KernelRoute& route, LinkIndex link);

}  // namespace cni::netlink
