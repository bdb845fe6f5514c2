#include "plugins/meta/vrf/belongings.hpp"

#include <algorithm>
#include <iterator>

#include "pkg/types/error.hpp"

namespace cni::vrf {
namespace {

using netlink::KernelAddress;
using netlink::KernelRoute;
using netlink::TableId;

constexpr Family kFamilies[] = {Family::kIpv4, Family::kIpv6};

// Routes to link-local and multicast addresses, which every interface with IPv6 has: the kernel
// makes them in the background, after the interface has got its link-local address.
bool is_of_every_link(const KernelRoute& route) {
  static const Prefix kLinkLocal = *Prefix::parse("fe80::/10");
  static const Prefix kMulticast = *Prefix::parse("ff00::/8");
  const Ip& destination = route.route.destination.address;
  return kLinkLocal.contains(destination) || kMulticast.contains(destination);
}

bool is_connected(const KernelRoute& route) {
  return route.is_made_by_kernel() && route.is_unicast() && !is_of_every_link(route);
}

// Whether the kernel would try the address anew although it is known to be nobody else's.
bool needs_keeping(const KernelAddress& address) {
  return address.is_settled() && !address.is_untried();
}

void put_missing_addresses(netlink::Socket& container, netlink::LinkIndex link,
                           const Belongings& before) {
  const auto present = netlink::list_kernel_addresses(container, link, Family::kIpv6);
  for (const KernelAddress& wanted : before.addresses) {
    const bool is_there =
        std::any_of(present.begin(), present.end(), [&](const KernelAddress& address) {
          return address.address.prefix == wanted.address.prefix;
        });
    if (is_there) continue;
    const auto dad = wanted.is_settled() ? netlink::Dad::kSkip : netlink::Dad::kKernelDefault;
    netlink::put_kernel_address(container, wanted, dad);
  }
}

void wait_for_settled(netlink::Socket& container, const ns::Netns& netns, netlink::LinkIndex link,
                      const Belongings& before, TableId local) {
  const auto now = netlink::find_link(container, link);
  if (!now || !now->is_up()) return;  // nothing is delivered to addresses of a link that is down
  std::vector<Ip> addresses;
  for (const KernelAddress& address : before.addresses) {
    if (address.is_settled()) addresses.push_back(address.address.prefix.address);
  }
  if (netlink::wait_for_local_routes(container, netns, link, local, addresses, kDeadline)) return;
  throw Error(Code::kTryAgainLater, cat("the kernel has not made the routes to the addresses of ",
                                        now->name, " in table ", static_cast<std::uint32_t>(local),
                                        " within ", kDeadline.count(), " seconds"));
}

std::vector<KernelRoute> routes_in(netlink::Socket& container, netlink::LinkIndex link,
                                   TableId table) {
  std::vector<KernelRoute> out;
  for (const Family family : kFamilies) {
    auto routes =
        netlink::list_kernel_routes(container, {.family = family, .table = table, .link = link});
    std::move(routes.begin(), routes.end(), std::back_inserter(out));
  }
  return out;
}

// Returns those that the kernel says are there already.
std::vector<KernelRoute> put_routes(netlink::Socket& container,
                                    const std::vector<KernelRoute>& routes, const Tables& tables) {
  std::vector<KernelRoute> out;
  for (const KernelRoute& route : routes) {
    if (route.is_made_by_kernel()) continue;  // it has come by itself
    const TableId table = tables(route.route.table);
    if (!netlink::add_kernel_route(container, route, table, netlink::Among::kLast))
      out.push_back(route);
  }
  return out;
}

}  // namespace

TableId Tables::operator()(TableId table) const {
  if (table == TableId::kMain) return main;
  return table == TableId::kLocal ? local : table;
}

Belongings belongings_of(netlink::Socket& container, netlink::LinkIndex link) {
  Belongings out;
  for (KernelAddress& address : netlink::list_kernel_addresses(container, link, Family::kIpv6)) {
    if (!address.is_automatic()) out.addresses.push_back(std::move(address));
  }
  for (const Family family : kFamilies) {
    for (KernelRoute& route :
         netlink::list_kernel_routes(container, {.family = family, .link = link})) {
      if (!route.is_made_by_kernel() || is_connected(route)) out.routes.push_back(std::move(route));
    }
  }
  return out;
}

std::vector<KernelRoute> surplus_of(const std::vector<KernelRoute>& present,
                                    const Belongings& before) {
  std::vector<KernelRoute> out;
  for (const KernelRoute& route : present) {
    if (!is_connected(route)) continue;
    const bool was_there =
        std::any_of(before.routes.begin(), before.routes.end(), [&](const KernelRoute& other) {
          return other.is_made_by_kernel() && other.route.destination == route.route.destination &&
                 other.route.priority == route.route.priority;
        });
    if (!was_there) out.push_back(route);
  }
  return out;
}

void keep_settled(netlink::Socket& container, const Belongings& before) {
  for (const KernelAddress& address : before.addresses) {
    if (needs_keeping(address)) {
      netlink::put_kernel_address(container, address, netlink::Dad::kSkip);
    }
  }
}

void give_back(netlink::Socket& container, const ns::Netns& netns, netlink::LinkIndex link,
               const Belongings& before, const Tables& tables) {
  put_missing_addresses(container, link, before);
  wait_for_settled(container, netns, link, before, tables.local);
  // As they were before keep_settled, now that they are not tried any more.
  for (const KernelAddress& address : before.addresses) {
    if (!needs_keeping(address)) continue;
    netlink::put_kernel_address(container, address, netlink::Dad::kKernelDefault);
  }
  const auto refused = put_routes(container, before.routes, tables);
  // Only now: a gateway may have been reached over one of these when its route was made.
  const auto surplus = surplus_of(routes_in(container, link, tables.main), before);
  for (const KernelRoute& route : surplus) (void)netlink::remove_kernel_route(container, route);
  // The kernel may have taken one for the same as a route of the surplus.
  if (!surplus.empty()) (void)put_routes(container, refused, tables);
}

}  // namespace cni::vrf
