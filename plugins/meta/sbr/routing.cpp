#include "plugins/meta/sbr/routing.hpp"

#include <linux/if.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <set>

#include "pkg/netlink/addr.hpp"
#include "pkg/netlink/route_copy.hpp"
#include "pkg/types/error.hpp"

namespace cni::sbr {
namespace {

using netlink::KernelRoute;
using netlink::LinkIndex;
using netlink::Rule;
using netlink::Socket;
using netlink::TableId;

constexpr std::uint32_t kFirstTable = 100;
constexpr Family kFamilies[] = {Family::kIpv4, Family::kIpv6};
// The metric of a route for which none was asked (IP6_RT_PRIO_USER), and of the kernel's own ones
// to IPv6 subnets (IP6_RT_PRIO_ADDRCONF).
constexpr std::uint32_t kIpv6Metric = 1024;
constexpr std::uint32_t kIpv6SubnetMetric = 256;
constexpr std::chrono::seconds kDadDeadline{5};

Prefix default_destination(Family family) {
  const std::uint8_t zero[16] = {};
  return {*Ip::from_bytes(zero, family == Family::kIpv4 ? 4 : 16), 0};
}

Rule rule_for(const Source& source, TableId table) {
  const Ip& address = source.address.address;
  return {.family = address.family(), .source = Prefix::host(address), .table = table};
}

std::optional<Rule> find_rule(Socket& socket, const Rule& wanted) {
  for (const Rule& rule : netlink::list_rules(socket, wanted.family)) {
    const bool is_same =
        is_of_one_address(rule) && rule.source == wanted.source && rule.table == wanted.table;
    if (is_same) return rule;
  }
  return std::nullopt;
}

// An undo step that works on the container's namespace if that is still there.
template <class Fn>
os::Undo::Step step_in(const Container& container, Fn fn) {
  return [path = container.netns.path(), fn = std::move(fn)] {
    const auto netns = ns::Netns::find(path);
    if (!netns) return;
    Socket socket = Socket::open_in(*netns);
    fn(socket);
  };
}

void add_rule(const Container& container, const Rule& rule, os::Undo& undo) {
  undo.push(cat("delete the rule for ", rule.source->address.to_string()),
            step_in(container, [rule](Socket& socket) {
              const auto present = find_rule(socket, rule);
              if (present) (void)netlink::remove_rule(socket, *present);
            }));
  netlink::add_rule(container.socket, rule);
}

// Tables that neither a rule nor a route mentions.
class UnusedTables {
 public:
  explicit UnusedTables(Socket& socket) {
    for (const Family family : kFamilies) {
      for (const Rule& rule : netlink::list_rules(socket, family)) note(rule.table);
      for (const KernelRoute& route : netlink::list_kernel_routes(socket, {.family = family})) {
        note(route.route.table);
      }
    }
  }

  TableId next() {
    while (used_.contains(next_) || is_kernel_table(TableId{next_})) ++next_;
    return TableId{next_++};
  }

 private:
  void note(TableId table) { used_.insert(static_cast<std::uint32_t>(table)); }

  std::set<std::uint32_t> used_;
  std::uint32_t next_ = kFirstTable;
};

// Removes the link's routes from a table, of both families: the reference puts both into each.
void empty_table(Socket& socket, TableId table, LinkIndex link) {
  for (const Family family : kFamilies) {
    const netlink::RouteFilter filter{.family = family, .table = table, .link = link};
    for (const KernelRoute& route : netlink::list_kernel_routes(socket, filter)) {
      const auto part = netlink::part_over(route, link);
      if (part) (void)netlink::remove_kernel_route(socket, *part);
    }
  }
}

// The link's routes in the main table, of the families that the sources have. Those whose other
// next hops lead over other links are not the attachment's alone.
std::vector<KernelRoute> main_routes(const Container& container,
                                     const std::vector<Source>& sources) {
  std::vector<KernelRoute> out;
  for (const Family family : kFamilies) {
    const bool is_wanted = std::any_of(sources.begin(), sources.end(), [&](const Source& source) {
      return source.address.address.family() == family;
    });
    if (!is_wanted) continue;
    const netlink::RouteFilter filter{
        .family = family, .table = TableId::kMain, .link = container.link.index};
    for (const KernelRoute& route : netlink::list_kernel_routes(container.socket, filter)) {
      auto part = netlink::part_over(route, container.link.index);
      if (part) out.push_back(*std::move(part));
    }
  }
  return out;
}

// Whether the copied routes already say where packets to anywhere go: over the gateway, or as the
// main table had it at the metric that a default route would get.
bool has_default(const std::vector<const KernelRoute*>& routes, const Source& source) {
  const std::uint32_t metric = source.address.address.is_ipv4() ? 0 : kIpv6Metric;
  return std::any_of(routes.begin(), routes.end(), [&](const KernelRoute* each) {
    const netlink::Route& route = each->route;
    return route.destination.is_default() &&
           (route.gateway == source.gateway || route.priority == metric);
  });
}

void fill_table(const Container& container, TableId table, const Source& source,
                const std::vector<Source>& all, const std::vector<KernelRoute>& routes) {
  const Family family = source.address.address.family();
  std::vector<const KernelRoute*> needed;
  for (const KernelRoute& route : routes) {
    const bool is_needed =
        route.route.destination.address.family() == family && needs_route(source, all, route.route);
    if (is_needed) needed.push_back(&route);
  }
  for (const KernelRoute* route : needed) {
    (void)netlink::add_kernel_route(container.socket, *route, table, netlink::Among::kLast);
  }
  if (!source.gateway || has_default(needed, source)) return;
  netlink::add_route(container.socket, {.destination = default_destination(family),
                                        .gateway = source.gateway,
                                        .link = container.link.index,
                                        .table = table});
}

bool is_link_local(const netlink::Route& route) {
  const Ip& destination = route.destination.address;
  return !destination.is_ipv4() && route.destination.length != 0 &&
         (destination.is_link_local_unicast() || destination.is_multicast());
}

// IPv6 knows no scopes.
bool is_on_link(const netlink::Route& route) {
  if (route.destination.address.is_ipv4()) return route.scope == netlink::kScopeLink;
  return !route.gateway;
}

bool is_to_subnet(const netlink::Route& route, const Source& source) {
  return is_on_link(route) && route.destination == source.address.network();
}

std::optional<netlink::Route> hint_for(const Source& source, LinkIndex link) {
  const Ip& address = source.address.address;
  if (source.address.length == address.width()) return std::nullopt;
  netlink::Route hint{
      .destination = source.address.network(), .source = address, .link = link, .scope = {}};
  if (!address.is_ipv4()) hint.priority = kIpv6SubnetMetric;
  return hint;
}

// Puts the subnet of each source back into the main table, with the source as the address to send
// from. Where the kernel does not take that, its own route comes back: a source of IPv6 can still
// be tentative.
void add_hints(const Container& container, const std::vector<Source>& sources,
               const std::vector<KernelRoute>& removed, os::Undo& undo) {
  for (const Source& source : sources) {
    const auto hint = hint_for(source, container.link.index);
    if (!hint) continue;
    undo.push(cat("delete route ", hint->describe()), step_in(container, [hint](Socket& socket) {
                (void)netlink::remove_route(socket, *hint);
              }));
    try {
      netlink::add_route(container.socket, *hint);
    } catch (const Error& error) {
      if (error.sys_errno == EEXIST) continue;
      if (error.sys_errno != EINVAL) throw;
      for (const KernelRoute& route : removed) {
        if (!is_to_subnet(route.route, source)) continue;
        (void)netlink::add_kernel_route(container.socket, route, TableId::kMain,
                                        netlink::Among::kFirst);
      }
    }
  }
}

void settle_addresses(const Container& container) {
  if ((container.link.flags & IFF_LOWER_UP) == 0) return;
  // What is not settled by then gets no hint.
  (void)netlink::wait_for_dad(container.socket, container.netns, container.link.index,
                              kDadDeadline);
}

// Whether the route stays in the main table. With hints those on the link do, except the subnets
// that the hints are for.
bool stays(const netlink::Route& route, const std::vector<Source>& sources, bool add_source_hints) {
  if (is_link_local(route)) return true;
  if (!add_source_hints || !is_on_link(route)) return false;
  return std::none_of(sources.begin(), sources.end(),
                      [&](const Source& source) { return is_to_subnet(route, source); });
}

void remove_from_main(const Container& container, const std::vector<KernelRoute>& routes,
                      os::Undo& undo) {
  undo.push(cat("restore the routes of ", container.link.name),
            step_in(container, [routes](Socket& socket) {
              for (const KernelRoute& route : routes) {
                (void)netlink::add_kernel_route(socket, route, TableId::kMain,
                                                netlink::Among::kFirst);
              }
            }));
  for (const KernelRoute& route : routes) {
    (void)netlink::remove_kernel_route(container.socket, route);
  }
}

}  // namespace

bool is_of_one_address(const Rule& rule) {
  return !rule.has_more && rule.source && rule.source->length == rule.source->address.width();
}

bool is_kernel_table(TableId table) {
  return table == TableId::kUnspecified || table == TableId::kDefault || table == TableId::kMain ||
         table == TableId::kLocal;
}

void add_rules(const Container& container, const std::vector<Source>& sources, TableId table,
               os::Undo& undo) {
  for (const Source& source : sources) {
    const Rule rule = rule_for(source, table);
    if (!find_rule(container.socket, rule)) add_rule(container, rule, undo);
  }
}

void move_routes(const Container& container, const std::vector<Source>& sources,
                 bool add_source_hints, os::Undo& undo) {
  const std::vector<KernelRoute> routes = main_routes(container, sources);
  UnusedTables tables(container.socket);
  for (const Source& source : sources) {
    // The rule comes first: a table without routes changes nothing, and DEL finds the table by it.
    const TableId table = tables.next();
    add_rule(container, rule_for(source, table), undo);
    undo.push(cat("empty the table ", static_cast<std::uint32_t>(table)),
              step_in(container, [table, name = container.link.name](Socket& socket) {
                const auto link = netlink::find_link(socket, name);
                if (link) empty_table(socket, table, link->index);
              }));
    fill_table(container, table, source, sources, routes);
  }
  std::vector<KernelRoute> moved;
  for (const KernelRoute& route : routes) {
    if (!stays(route.route, sources, add_source_hints)) moved.push_back(route);
  }
  if (add_source_hints) settle_addresses(container);
  remove_from_main(container, moved, undo);
  if (add_source_hints) add_hints(container, sources, moved, undo);
}

}  // namespace cni::sbr
