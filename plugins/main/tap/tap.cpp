#include "plugins/main/tap/tap.hpp"

#include <cerrno>
#include <optional>

#include "pkg/attachment/interface.hpp"
#include "pkg/attachment/live_routes.hpp"
#include "pkg/delegate/ipam.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/types/error.hpp"
#include "plugins/main/tap/config.hpp"
#include "plugins/main/tap/create.hpp"

namespace cni::tap {
namespace {

std::optional<netlink::Link> find_bridge(netlink::Socket& container, const Config& config) {
  if (config.bridge.empty()) return std::nullopt;
  auto link = netlink::find_link(container, config.bridge);
  const auto failed = [&](std::string_view why) {
    return Error(Code::kInvalidNetworkConfig,
                 cat("failed to get bridge ", config.bridge, ": ", why),
                 "the bridge has to be in the container before the tap device is made");
  };
  if (!link) throw failed("no such device");
  if (link->kind != "bridge") throw failed(cat("it is of type ", quote(link->kind)));
  return link;
}

void require_free_name(netlink::Socket& container, const std::string& ifname) {
  if (!netlink::find_link(container, ifname)) return;
  throw Error(Code::kConflict, cat("failed to create tap: ", quote(ifname), " already exists"),
              "the container has an interface of that name; choose another CNI_IFNAME", EEXIST);
}

netlink::Link add_link(const skel::Request& request, const Config& config, const ns::Netns& netns,
                       netlink::Socket& container, os::Undo& undo) {
  const auto bridge = find_bridge(container, config);
  require_free_name(container, request.ifname);
  create(netns, config, request.ifname);
  attachment::push_link_removal(request, undo);
  const netlink::LinkIndex index = netlink::get_link(container, request.ifname).index;
  netlink::LinkChange change;
  if (!config.mac.empty()) change.mac = config.mac;
  if (config.mtu != 0) change.mtu = config.mtu;
  if (bridge) change.master = bridge->index;
  const bool changes = change.mac || change.mtu || change.master;
  if (changes) {
    netlink::change_link(container, index, change, cat("configure ", request.ifname));
  }
  return netlink::get_link(container, index);
}

Result add(const skel::Request& request, os::Undo& undo) {
  const Config config = parse(request);
  const ns::Netns netns = ns::Netns::open(request.netns);
  netlink::Socket container = netlink::Socket::open_in(netns);
  std::optional<delegate::IpamAddition> ipam;
  if (!request.config.ipam_type.empty()) ipam.emplace(request);

  const netlink::Link link = add_link(request, config, netns, container, undo);
  if (ipam) ipam->begin(undo);
  Result result = attachment::describe_link(request, link);
  if (ipam) attachment::take_assigned(ipam->finish(), 0, result);
  attachment::bring_up(netns, container, link, result);
  if (request.config.dns) result.dns = *request.config.dns;
  return result;
}

Error differs(std::string_view what) { return {Code::kCheckFailed, std::string(what)}; }

void check_settings(netlink::Socket& container, const Config& config, const Interface& expected,
                    const netlink::Link& link) {
  if (!link.tun || !link.tun->tap) {
    throw differs(cat("Error: Container interface ", link.name, " not of type tap"));
  }
  if (!link.is_up()) throw differs(cat("Interface ", link.name, " is down"));
  // A chained plugin that has changed the MTU says so in the result.
  const std::uint32_t mtu = expected.mtu != 0 ? expected.mtu : config.mtu;
  if (mtu != 0 && link.mtu != mtu) {
    throw differs(cat("Interface ", link.name, " MTU ", link.mtu, " doesn't match ", mtu));
  }
  const auto bridge = find_bridge(container, config);
  if (bridge && link.master != bridge->index) {
    throw differs(cat("Interface ", link.name, " is not a port of bridge ", bridge->name));
  }
}

void check(const skel::Request& request) {
  const Config config = parse(request);
  const Interface& expected = delegate::expected_interface(request);
  const Result& result = *request.config.prev_result();
  delegate::ipam_check(request);

  const ns::Netns netns = ns::Netns::open(request.netns);
  netlink::Socket container = netlink::Socket::open_in(netns);
  const netlink::Link link = attachment::check_link(container, expected, "tun");
  check_settings(container, config, expected, link);
  delegate::check_addresses(container, link, result);
  delegate::check_routes(container, link, result);
}

void status(const skel::Request& request) {
  (void)parse(request);
  attachment::require_available([] { netlink::require_tap(); });
  delegate::ipam_status(request);
}

}  // namespace

const skel::Plugin plugin{.name = "tap",
                          .add = add,
                          .del = attachment::remove_link_and_addresses,
                          .check = check,
                          .status = status,
                          .gc = delegate::ipam_gc,
                          .update = &attachment::kRouteUpdate,
                          .command = create_command,
                          .description = &kDescription};

}  // namespace cni::tap
