#include "plugins/meta/vrf/table.hpp"

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/route.hpp"
#include "pkg/netlink/route_copy.hpp"
#include "pkg/netlink/rule.hpp"

namespace cni::vrf {
namespace {

using netlink::TableId;

constexpr Family kFamilies[] = {Family::kIpv4, Family::kIpv6};

bool is_of_kernel(std::uint32_t table) {
  return table >= static_cast<std::uint32_t>(TableId::kDefault) &&
         table <= static_cast<std::uint32_t>(TableId::kLocal);
}

std::set<std::uint32_t> named_tables(netlink::Socket& container) {
  std::set<std::uint32_t> out;
  for (const netlink::Link& vrf : netlink::list_links(container, "vrf")) out.insert(vrf.vrf_table);
  for (const Family family : kFamilies) {
    for (const netlink::Rule& rule : netlink::list_rules(container, family)) {
      out.insert(static_cast<std::uint32_t>(rule.table));
    }
  }
  return out;
}

bool has_routes(netlink::Socket& container, std::uint32_t table) {
  for (const Family family : kFamilies) {
    const netlink::RouteFilter filter{.family = family, .table = TableId{table}};
    if (!netlink::list_kernel_routes(container, filter).empty()) return true;
  }
  return false;
}

}  // namespace

std::uint32_t first_free_table(const std::set<std::uint32_t>& taken,
                               const std::function<bool(std::uint32_t)>& is_in_use) {
  std::uint32_t table = 1;
  while (is_of_kernel(table) || taken.contains(table) || is_in_use(table)) ++table;
  return table;
}

std::uint32_t find_free_table(netlink::Socket& container) {
  return first_free_table(named_tables(container),
                          [&](std::uint32_t table) { return has_routes(container, table); });
}

}  // namespace cni::vrf
