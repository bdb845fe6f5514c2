#include "plugins/meta/sbr/check.hpp"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <string>

#include "pkg/netlink/route_copy.hpp"
#include "pkg/netlink/rule.hpp"
#include "pkg/types/error.hpp"
#include "plugins/meta/sbr/routing.hpp"

namespace cni::sbr {
namespace {

using netlink::KernelRoute;
using netlink::Link;
using netlink::Socket;
using netlink::TableId;

std::string number_of(TableId table) { return std::to_string(static_cast<std::uint32_t>(table)); }

Error difference(std::string message) { return {Code::kCheckFailed, std::move(message)}; }

TableId find_table(Socket& socket, const Source& source, const Config& config) {
  const Ip& address = source.address.address;
  for (const netlink::Rule& rule : netlink::list_rules(socket, address.family())) {
    if (!is_of_one_address(rule) || rule.source->address != address) continue;
    const bool is_wanted =
        config.table ? rule.table == *config.table : !is_kernel_table(rule.table);
    if (is_wanted) return rule.table;
  }
  throw difference(cat("no rule leads packets from ", address.to_string(), " to ",
                       config.table ? cat("the table ", number_of(*config.table))
                                    : std::string("a table of its own")));
}

// Where the source's default route may lead: a default route of the result is taken as it was.
std::vector<Ip> allowed_gateways(const Source& source, const Result& result) {
  std::vector<Ip> out;
  if (!source.gateway) return out;
  out.push_back(*source.gateway);
  if (source.has_configured_gateway) return out;
  for (const Route& route : result.routes) {
    if (route.destination.is_default() && route.gateway) out.push_back(*route.gateway);
  }
  return out;
}

void check_default(const Source& source, const Result& result, const Link& link, TableId table,
                   const std::vector<KernelRoute>& routes) {
  const std::vector<Ip> gateways = allowed_gateways(source, result);
  if (gateways.empty()) return;
  const bool is_there = std::any_of(routes.begin(), routes.end(), [&](const KernelRoute& each) {
    const auto& gateway = each.route.gateway;
    return each.route.destination.is_default() && gateway &&
           std::find(gateways.begin(), gateways.end(), *gateway) != gateways.end();
  });
  if (is_there) return;
  throw difference(cat("the table ", number_of(table), ", which packets from ",
                       source.address.address.to_string(),
                       " are routed by, has no default route via ", source.gateway->to_string(),
                       " over ", link.name));
}

// The gateway that the plugin in front has given to a route.
std::optional<Ip> gateway_of(const Route& route, const Result& result) {
  if (route.gateway || route.scope == netlink::kScopeLink) return route.gateway;
  for (const IpConfig& ip : result.ips) {
    const bool is_of_family = ip.address.address.family() == route.destination.address.family();
    if (is_of_family && ip.gateway) return ip.gateway;
  }
  return std::nullopt;
}

void check_routes(const Source& source, const std::vector<Source>& all, const Result& result,
                  TableId table, const std::vector<KernelRoute>& present) {
  for (const Route& route : result.routes) {
    const bool is_of_family = route.destination.address.family() == source.address.address.family();
    if (!is_of_family || route.destination.is_default() || route.table) continue;
    const netlink::Route wanted{.destination = route.destination.network(),
                                .gateway = gateway_of(route, result),
                                .scope = {}};
    if (!needs_route(source, all, wanted)) continue;
    const bool is_there = std::any_of(present.begin(), present.end(), [&](const KernelRoute& each) {
      return each.route.destination == wanted.destination &&
             (!route.gateway || each.links.size() > 1 || each.route.gateway == route.gateway);
    });
    if (is_there) continue;
    throw difference(cat("the table ", number_of(table), ", which packets from ",
                         source.address.address.to_string(), " are routed by, has no route to ",
                         route.destination.to_string(),
                         route.gateway ? cat(" via ", route.gateway->to_string()) : ""));
  }
}

void check_table(Socket& socket, const Link& link, const Result& result, const Source& source,
                 const std::vector<Source>& all, TableId table) {
  const Ip& address = source.address.address;
  const std::vector<KernelRoute> routes = netlink::list_kernel_routes(
      socket, {.family = address.family(), .table = table, .link = link.index});
  const bool has_subnet = source.address.length != address.width();
  if (routes.empty() && has_subnet) {
    throw difference(cat("the table ", number_of(table), ", which packets from ",
                         address.to_string(), " are routed by, has no routes over ", link.name));
  }
  check_default(source, result, link, table, routes);
  check_routes(source, all, result, table, routes);
}

// Others' packets would leave over the link. What a router advertises can come back at any time.
void check_main_table(Socket& socket, const Link& link, Family family) {
  const netlink::RouteFilter filter{.family = family, .table = TableId::kMain, .link = link.index};
  for (const KernelRoute& route : netlink::list_kernel_routes(socket, filter)) {
    const bool is_ours = route.route.destination.is_default() &&
                         route.route.protocol != RTPROT_RA && netlink::part_over(route, link.index);
    if (!is_ours) continue;
    throw difference(
        cat("the main table has a default route over ", link.name, ": ", route.route.describe()));
  }
}

}  // namespace

void check_routing(Socket& container, const Link& link, const Result& result,
                   const std::vector<Source>& sources, const Config& config) {
  for (const Source& source : sources) {
    const TableId table = find_table(container, source, config);
    if (config.table) continue;
    check_table(container, link, result, source, sources, table);
    check_main_table(container, link, source.address.address.family());
  }
}

}  // namespace cni::sbr
