#include <algorithm>

#include "pkg/netlink/addr.hpp"
#include "pkg/netlink/route_copy.hpp"
#include "pkg/types/error.hpp"
#include "plugins/meta/sbr/routing.hpp"

namespace cni::sbr {
namespace {

using netlink::KernelRoute;
using netlink::LinkIndex;
using netlink::Rule;
using netlink::Socket;
using netlink::TableId;

constexpr Family kFamilies[] = {Family::kIpv4, Family::kIpv6};

// What is to be removed, by what the namespace has now.
class Withdrawal {
 public:
  Withdrawal(Socket& socket, const Removal& removal)
      : socket_(socket),
        removal_(removal),
        link_(removal.link ? removal.link->index : LinkIndex::kNone),
        present_(netlink::list_addresses(socket, LinkIndex::kNone)) {}

  void run() {
    ErrorList errors;
    for (const Family family : kFamilies) {
      errors.run([&] {
        for (const Rule& rule : netlink::list_rules(socket_, family)) {
          errors.run([&] { remove_if_ours(rule); });
        }
      });
    }
    errors.throw_if_any();
  }

 private:
  void remove_if_ours(const Rule& rule) {
    const bool is_candidate =
        is_of_one_address(rule) && (!removal_.table || rule.table == *removal_.table);
    if (!is_candidate || !is_ours(rule)) return;
    // The rule goes last: without it nobody would find the table again.
    if (!removal_.table && !is_kernel_table(rule.table)) remove_link_routes(rule.table);
    (void)netlink::remove_rule(socket_, rule);
  }

  bool is_ours(const Rule& rule) const {
    const Ip& address = rule.source->address;
    const bool is_on_link = has_address(address, true);
    if (has_address(address, false)) {
      // Two networks can give the same address.
      return is_on_link &&
             (removal_.table || routes_of(rule.table).empty() || count_over_link(rule.table) != 0);
    }
    if (is_on_link) return true;
    const bool is_known = std::find(removal_.addresses.begin(), removal_.addresses.end(),
                                    address) != removal_.addresses.end();
    return is_known &&
           (removal_.table || count_over_link(rule.table) == routes_of(rule.table).size());
  }

  // Whether the link, or another one, has the address.
  bool has_address(const Ip& address, bool on_our_link) const {
    return std::any_of(present_.begin(), present_.end(), [&](const netlink::Address& each) {
      return each.prefix.address == address && (each.link == link_) == on_our_link;
    });
  }

  std::vector<KernelRoute> routes_of(TableId table) const {
    std::vector<KernelRoute> out;
    for (const Family family : kFamilies) {
      for (auto& route : netlink::list_kernel_routes(socket_, {.family = family, .table = table})) {
        out.push_back(std::move(route));
      }
    }
    return out;
  }

  std::size_t count_over_link(TableId table) const {
    const std::vector<KernelRoute> routes = routes_of(table);
    return static_cast<std::size_t>(
        std::count_if(routes.begin(), routes.end(),
                      [&](const KernelRoute& route) { return route.leads_over(link_); }));
  }

  void remove_link_routes(TableId table) {
    for (const KernelRoute& route : routes_of(table)) {
      const auto part = netlink::part_over(route, link_);
      if (part) (void)netlink::remove_kernel_route(socket_, *part);
    }
  }

  Socket& socket_;
  const Removal& removal_;
  LinkIndex link_;
  std::vector<netlink::Address> present_;
};

}  // namespace

void remove_rules(Socket& container, const Removal& removal) {
  Withdrawal(container, removal).run();
}

}  // namespace cni::sbr
