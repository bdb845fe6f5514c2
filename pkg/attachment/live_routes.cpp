#include "pkg/attachment/live_routes.hpp"

#include <algorithm>
#include <array>

#include "pkg/delegate/ipam.hpp"
#include "pkg/netlink/route.hpp"
#include "pkg/types/error.hpp"

namespace cni::attachment {
namespace {

constexpr std::array<std::string_view, 1> kLiveKeys = {"ipam"};

void validate(const skel::Request& now) {
  const skel::Request was = skel::previous_of(now);
  if (was.config.ipam_type != now.config.ipam_type) {
    throw Error(Code::kCannotUpdate,
                cat("ipam.type cannot change from ", quote(was.config.ipam_type), " to ",
                    quote(now.config.ipam_type), " of a running attachment"),
                "delete and add the attachment");
  }
  // Otherwise the manager is asked when it has to change something.
  if (skel::is_trial(now)) (void)delegate::ipam_update(now);
}

bool has_addresses_of(const Result& result, Family family) {
  return std::any_of(result.ips.begin(), result.ips.end(),
                     [&](const IpConfig& ip) { return ip.address.address.family() == family; });
}

void require_routes_in_main(netlink::Socket& container, const netlink::Link& link,
                            const Result& result) {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    if (!has_addresses_of(result, family)) continue;
    const auto here = netlink::list_routes(
        container, {.family = family, .table = netlink::TableId::kMain, .link = link.index});
    if (!here.empty()) continue;
    const auto elsewhere = netlink::list_routes(container, {.family = family, .link = link.index});
    if (elsewhere.empty()) continue;
    throw Error(
        Code::kCannotUpdate,
        cat("the routes of ", link.name, " cannot change: they were moved to table ",
            static_cast<std::uint32_t>(elsewhere[0].table), ", by a plugin such as sbr or vrf"),
        "delete and add the attachment");
  }
}

// In the container, from the routes of one result to those of the other.
void change_routes(const skel::Request& request, const Result& was, const Result& now) {
  netlink::Socket container = netlink::Socket::open_in(ns::Netns::open(request.netns));
  const netlink::Link link = netlink::get_link(container, request.ifname);
  require_routes_in_main(container, link, was);
  delegate::change_routes(container, link, was, now);
}

Result apply(const skel::Request& /*was*/, const skel::Request& now, os::Undo& undo) {
  Result before = *now.config.prev_result();
  auto updated = delegate::ipam_update(now);
  if (!updated) return before;
  if (updated->routes != before.routes) {
    undo.push(cat("the routes of ", now.ifname, " as before"),
              [now, before, after = *updated] { change_routes(now, after, before); });
    change_routes(now, before, *updated);
  }
  return *std::move(updated);
}

}  // namespace

constinit const skel::LiveUpdate kRouteUpdate{
    .keys = kLiveKeys, .validate = validate, .apply = apply};

}  // namespace cni::attachment
