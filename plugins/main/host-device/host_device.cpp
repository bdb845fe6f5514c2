#include "plugins/main/host-device/host_device.hpp"

#include <optional>

#include "pkg/attachment/child_link.hpp"
#include "pkg/attachment/interface.hpp"
#include "pkg/attachment/live_routes.hpp"
#include "pkg/delegate/ipam.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/types/error.hpp"
#include "plugins/main/host-device/config.hpp"
#include "plugins/main/host-device/device.hpp"
#include "plugins/main/host-device/move.hpp"
#include "plugins/main/host-device/ownership.hpp"

namespace cni::host_device {
namespace {

Config load(const skel::Request& request) {
  Config config = parse(request);
  resolve_device_id(config);
  return config;
}

// For DEL: a device that is not there any more may have been of either bus.
Config load_leniently(const skel::Request& request) {
  Config config = parse_leniently(request);
  try {
    resolve_device_id(config);
  } catch (const Error&) {
    config.pci_bus_id = config.device_id;
  }
  return config;
}

// The undo step: finds the device by what ADD gave it.
void give_back(const skel::Request& request, const Device& device) {
  const auto netns = ns::Netns::find(request.netns);
  if (!netns) return;
  netlink::Socket container = netlink::Socket::open_in(*netns);
  const auto link = netlink::find_link(container, request.ifname);
  if (!link || link->alias != device.name) return;
  move_to_host(container, *link, {.name = device.name, .up = device.link.is_up(), .mac = {}});
}

netlink::Link take(const skel::Request& request, const Config& config, attachment::Sides& sides,
                   os::Undo& undo) {
  const Device device = find_device(sides.host, config);
  require_free_name(sides.container, device, request.ifname);
  // Before the move, which may be done although its answer is lost.
  undo.push(cat("give ", device.name, " back to the host"),
            [request, device] { give_back(request, device); });
  return move_to_container(sides, device, request.ifname, tag_of(request, device.link));
}

// The kernel has no interface for it, so that addresses are only reported.
Result add_user_space_device(const skel::Request& request, os::Undo& undo) {
  Result result;
  result.interfaces = {{.name = request.ifname, .mac = {}, .sandbox = request.netns}};
  if (request.config.ipam_type.empty()) return result;
  delegate::IpamAddition ipam(request);
  ipam.begin(undo);
  attachment::take_assigned(ipam.finish(), 0, result);
  return result;
}

Result add_interface(const skel::Request& request, const Config& config, os::Undo& undo) {
  attachment::Sides sides = attachment::open_sides(request);
  std::optional<delegate::IpamAddition> ipam;
  if (!request.config.ipam_type.empty()) ipam.emplace(request);

  const netlink::Link link = take(request, config, sides, undo);
  if (ipam) ipam->begin(undo);
  Result result = attachment::describe_link(request, link);
  if (ipam) attachment::take_assigned(ipam->finish(), 0, result);
  attachment::bring_up(sides.netns, sides.container, link, result);
  return result;
}

Result add(const skel::Request& request, os::Undo& undo) {
  const Config config = load(request);
  Result result = is_in_user_space(config) ? add_user_space_device(request, undo)
                                           : add_interface(request, config, undo);
  if (request.config.dns) result.dns = *request.config.dns;
  return result;
}

void give_back_found(const skel::Request& request, const Config& config, const ns::Netns& netns) {
  netlink::Socket container = netlink::Socket::open_in(netns);
  const Evidence evidence = evidence_of(request, config);
  std::string doubt;
  const auto link = find_in_container(container, evidence, doubt);
  if (!doubt.empty()) skel::warn(request, "host-device", doubt);
  if (!link) return;
  const std::string& name = link->alias.empty() ? evidence.device : link->alias;
  move_to_host(container, *link, {.name = name, .mac = mac_to_restore(evidence, *link)});
}

void give_device_back(const skel::Request& request) {
  const Config config = load_leniently(request);
  if (is_in_user_space(config)) return;
  if (const auto netns = ns::Netns::find(request.netns)) {
    give_back_found(request, config, *netns);
    return;
  }
  // The kernel brings hardware back by itself when a namespace ends, but not its name.
  netlink::Socket host = netlink::Socket::open();
  const auto link = find_brought_back(host, config);
  if (link) restore_name(host, *link, config.device);
}

void del(const skel::Request& request) {
  ErrorList errors;
  delegate::ipam_del_with_link(request, errors, [&] { give_device_back(request); });
  errors.throw_if_any();
}

void check(const skel::Request& request) {
  const Config config = load(request);
  const Interface& expected = delegate::expected_interface(request);
  const Result& result = *request.config.prev_result();
  delegate::ipam_check(request);
  if (is_in_user_space(config)) return;

  const ns::Netns netns = ns::Netns::open(request.netns);
  netlink::Socket container = netlink::Socket::open_in(netns);
  const netlink::Link link = attachment::check_link(container, expected);
  Evidence evidence = evidence_of(request, config);
  evidence.prev_mac = Mac();  // compared already, and no sign of which device it is
  const std::string against = contradiction(container, evidence, link);
  if (!against.empty()) {
    throw Error(Code::kCheckFailed,
                cat("Interface ", link.name, " is not the device of this attachment: ", against));
  }
  delegate::check_addresses(container, link, result);
  delegate::check_routes(container, link, result);
}

void status(const skel::Request& request) {
  Config config = parse(request);
  attachment::require_available([&] {
    resolve_device_id(config);
    if (is_in_user_space(config)) return;
    netlink::Socket host = netlink::Socket::open();
    (void)find_device(host, config);
  });
  delegate::ipam_status(request);
}

}  // namespace

const skel::Plugin plugin{.name = "host-device",
                          .add = add,
                          .del = del,
                          .check = check,
                          .status = status,
                          .gc = delegate::ipam_gc,
                          .update = &attachment::kRouteUpdate,
                          .description = &kDescription};

}  // namespace cni::host_device
