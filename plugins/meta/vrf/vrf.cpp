#include "plugins/meta/vrf/vrf.hpp"

#include <algorithm>

#include "pkg/attachment/interface.hpp"
#include "pkg/delegate/ipam.hpp"
#include "pkg/netlink/route_copy.hpp"
#include "pkg/types/error.hpp"
#include "plugins/meta/vrf/config.hpp"
#include "plugins/meta/vrf/membership.hpp"

namespace cni::vrf {
namespace {

using netlink::KernelRoute;
using netlink::Link;
using netlink::TableId;

// The first version that the reference has it with.
constexpr auto kVersions = versions_from("0.3.1");

Config parse_chained(const skel::Request& request) {
  Config out = parse(request);
  if (request.config.prev_result() == nullptr) {
    throw Error(Code::kInvalidNetworkConfig,
                "missing prevResult from earlier plugin: vrf stands behind the plugin in a list "
                "that makes the interface, it cannot be called alone");
  }
  return out;
}

Result add(const skel::Request& request, os::Undo& undo) {
  const Config config = parse_chained(request);
  context("cmdAdd failed", [&] {
    Container container = Container::enter(request.netns);
    join(container, request.ifname, config, undo);
  });
  return *request.config.prev_result();
}

void del(const skel::Request& request) {
  auto container = Container::find(request.netns);
  if (container) leave(*container, request.ifname, parse_readable(request).name);
}

Error not_in(const skel::Request& request, const Config& config, std::string_view reason) {
  return {Code::kCheckFailed,
          cat("failed to find ", request.ifname, " associated to vrf ", config.name, ": ", reason)};
}

Link check_membership(netlink::Socket& container, const skel::Request& request,
                      const Config& config) {
  const auto vrf = netlink::find_link(container, config.name);
  if (!vrf) throw not_in(request, config, "there is no such VRF");
  const auto link = netlink::find_link(container, request.ifname);
  if (!link) throw not_in(request, config, "there is no such interface");
  try {
    check_vrf(*vrf, config);
  } catch (Error& error) {
    error.code = Code::kCheckFailed;
    throw;
  }
  if (link->master != vrf->index) throw not_in(request, config, "it is not in it");
  if (!vrf->is_up()) {
    throw Error(Code::kCheckFailed, cat("VRF ", config.name, " is down"));
  }
  return *link;
}

bool is_expected(const KernelRoute& route, const Route& expected) {
  const bool any_gateway =
      !expected.gateway || expected.destination.is_default() || route.links.size() > 1;
  return route.route.destination == expected.destination.network() &&
         (any_gateway || route.route.gateway == expected.gateway);
}

// A route of a table of its own has stayed there.
TableId table_of(const Route& route, TableId vrf) {
  const TableId named{static_cast<std::uint32_t>(route.table.value_or(0))};
  return named == TableId::kUnspecified || named == TableId::kMain ? vrf : named;
}

void check_routes(netlink::Socket& container, const Link& link, const Result& result) {
  for (const Route& expected : result.routes) {
    const TableId table = table_of(expected, TableId{link.vrf_table});
    const auto present = netlink::list_kernel_routes(
        container,
        {.family = expected.destination.address.family(), .table = table, .link = link.index});
    const bool found = std::any_of(present.begin(), present.end(), [&](const KernelRoute& route) {
      return is_expected(route, expected);
    });
    if (found) continue;
    throw Error(
        Code::kCheckFailed,
        cat("Expected Route ", expected.destination.to_string(),
            expected.gateway ? cat(" via ", expected.gateway->to_string()) : "",
            " not found in routing table ", static_cast<std::uint32_t>(table), " of ", link.name));
  }
}

void check(const skel::Request& request) {
  const Config config = parse_chained(request);
  const ns::Netns netns = ns::Netns::open(request.netns);
  netlink::Socket container = netlink::Socket::open_in(netns);
  const Link link = check_membership(container, request, config);
  delegate::check_addresses(container, link, *request.config.prev_result());
  check_routes(container, link, *request.config.prev_result());
}

void status(const skel::Request& request) {
  (void)parse(request);
  netlink::Socket host = netlink::Socket::open();
  attachment::require_link_kinds(host, {"vrf"});
}

}  // namespace

const skel::Plugin plugin{.name = "vrf",
                          .add = add,
                          .del = del,
                          .check = check,
                          .status = status,
                          .versions = kVersions,
                          .description = &kDescription};

}  // namespace cni::vrf
