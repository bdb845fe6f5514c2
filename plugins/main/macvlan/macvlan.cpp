#include "plugins/main/macvlan/macvlan.hpp"

#include <optional>

#include "pkg/attachment/child_link.hpp"
#include "pkg/attachment/interface.hpp"
#include "pkg/attachment/live_routes.hpp"
#include "pkg/delegate/ipam.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/new_link.hpp"
#include "pkg/types/error.hpp"
#include "plugins/main/macvlan/config.hpp"

namespace cni::macvlan {
namespace {

netlink::Link add_link(const skel::Request& request, const Config& config, attachment::Sides& sides,
                       os::Undo& undo) {
  const attachment::Master master =
      attachment::find_master(sides, config.master, config.link_in_container);
  attachment::check_master_mtu(config.mtu, master);
  const auto create = [&](netlink::Socket& socket, const netlink::Child& link) {
    netlink::add_macvlan(socket, {.link = link,
                                  .mode = config.mode,
                                  .mtu = config.mtu,
                                  .mac = config.mac,
                                  .bc_queue_len = config.bc_queue_len});
  };
  return attachment::add_child_link(request, "macvlan", sides, master, create, undo);
}

Result add(const skel::Request& request, os::Undo& undo) {
  const Config config = parse(request);
  attachment::Sides sides = attachment::open_sides(request);
  std::optional<delegate::IpamAddition> ipam;
  if (!request.config.ipam_type.empty()) ipam.emplace(request);

  const netlink::Link link = add_link(request, config, sides, undo);
  if (ipam) ipam->begin(undo);
  Result result = attachment::describe_link(request, link);
  if (ipam) attachment::take_assigned(ipam->finish(), 0, result);
  attachment::bring_up(sides.netns, sides.container, link, result);
  if (request.config.dns) result.dns = *request.config.dns;
  return result;
}

netlink::Link check_link(netlink::Socket& container, const Config& config,
                         const Interface& expected) {
  netlink::Link link = attachment::check_link(container, expected, "macvlan");
  if (link.macvlan_mode != config.mode) {
    throw Error(Code::kCheckFailed,
                cat("container macvlan mode ",
                    to_string(link.macvlan_mode.value_or(netlink::MacvlanMode::kBridge)),
                    " does not match expected value: ", to_string(config.mode)));
  }
  return link;
}

void check(const skel::Request& request) {
  const Config config = parse(request);
  const Interface& expected = delegate::expected_interface(request);
  const Result& result = *request.config.prev_result();
  delegate::ipam_check(request);

  attachment::Sides sides = attachment::open_sides(request);
  const attachment::Master master =
      attachment::find_master(sides, config.master, config.link_in_container);
  attachment::check_master_mtu(config.mtu, master);
  const netlink::Link link = check_link(sides.container, config, expected);
  attachment::check_parent(sides, link, master);
  delegate::check_addresses(sides.container, link, result);
  delegate::check_routes(sides.container, link, result);
}

void status(const skel::Request& request) {
  const Config config = parse(request);
  netlink::Socket host = netlink::Socket::open();
  attachment::require_link_kinds(host, {"macvlan"});
  // A master inside the container is known only at ADD.
  if (!config.link_in_container) {
    attachment::require_available([&] {
      attachment::check_master_mtu(config.mtu, attachment::find_host_master(host, config.master));
    });
  }
  delegate::ipam_status(request);
}

}  // namespace

const skel::Plugin plugin{.name = "macvlan",
                          .add = add,
                          .del = attachment::remove_link_and_addresses,
                          .check = check,
                          .status = status,
                          .gc = delegate::ipam_gc,
                          .update = &attachment::kRouteUpdate,
                          .description = &kDescription};

}  // namespace cni::macvlan
