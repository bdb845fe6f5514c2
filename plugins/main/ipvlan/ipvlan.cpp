#include "plugins/main/ipvlan/ipvlan.hpp"

#include <optional>

#include "pkg/attachment/child_link.hpp"
#include "pkg/attachment/interface.hpp"
#include "pkg/attachment/link_users.hpp"
#include "pkg/attachment/live_routes.hpp"
#include "pkg/delegate/delegate.hpp"
#include "pkg/delegate/ipam.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/new_link.hpp"
#include "pkg/types/error.hpp"
#include "plugins/main/ipvlan/config.hpp"

namespace cni::ipvlan {
namespace {

using netlink::IpvlanMode;

// What the plugin before this one assigned, if there is no ipam section of its own. Otherwise null.
const Result* chained_result(const skel::Request& request) {
  if (!request.config.ipam_type.empty()) return nullptr;
  const Result* prev_result = request.config.prev_result();
  if (prev_result != nullptr && !prev_result->ips.empty()) return prev_result;
  delegate::check_type(request.config.ipam_type);
  return nullptr;
}

// Empty: that of the default route.
std::string master_name(const skel::Request& request, const Config& config) {
  if (!config.master.empty()) return config.master;
  const Result* prev_result = request.config.prev_result();
  if (prev_result == nullptr) return {};
  if (prev_result->interfaces.size() == 1 && !prev_result->interfaces[0].name.empty()) {
    return prev_result->interfaces[0].name;
  }
  throw Error(Code::kInvalidNetworkConfig,
              "chained master failure. PrevResult lacks a single named interface",
              cat("it has ", prev_result->interfaces.size(),
                  " interfaces; set master to the name of a link"));
}

Error other_mode(const attachment::Master& master, const std::string& user, IpvlanMode theirs,
                 IpvlanMode ours) {
  return Error(Code::kConflict,
               cat(master.link.name, " has ipvlans of mode ", to_string(theirs), " already: ", user,
                   " would change to mode ", to_string(ours), " too"),
               cat("all ipvlans on one link share their mode; set mode to ", to_string(theirs),
                   ", or use another master"));
}

// The kernel gives all ipvlans on a link the mode of the latest one and says nothing. One of them
// is enough to know it, so the search ends early where there are many.
template <class Where>
void check_mode(Where& where, const attachment::Master& master, IpvlanMode mode) {
  if (master.link.ipvlan_mode) {
    if (*master.link.ipvlan_mode == mode) return;
    throw other_mode(master, cat("ipvlan ", master.link.name), *master.link.ipvlan_mode, mode);
  }
  const auto user = attachment::find_link_user(
      where, master, {"ipvlan"}, [](const netlink::Link& link) { return !!link.ipvlan_mode; });
  if (!user || user->link.ipvlan_mode == mode) return;
  throw other_mode(master, user->describe(), *user->link.ipvlan_mode, mode);
}

netlink::Link add_link(const skel::Request& request, const Config& config, attachment::Sides& sides,
                       os::Undo& undo) {
  const attachment::Master master =
      attachment::find_master(sides, master_name(request, config), config.link_in_container);
  attachment::check_master_mtu(config.mtu, master);
  check_mode(sides, master, config.mode);
  const auto create = [&](netlink::Socket& socket, const netlink::Child& link) {
    netlink::add_ipvlan(socket, {.link = link, .mode = config.mode, .mtu = config.mtu});
  };
  return attachment::add_child_link(request, "ipvlan", sides, master, create, undo);
}

Result add(const skel::Request& request, os::Undo& undo) {
  const Config config = parse(request);
  const Result* chained = chained_result(request);
  attachment::Sides sides = attachment::open_sides(request);
  std::optional<delegate::IpamAddition> ipam;
  if (chained == nullptr) ipam.emplace(request);

  const netlink::Link link = add_link(request, config, sides, undo);
  if (ipam) ipam->begin(undo);
  Result result = attachment::describe_link(request, link);
  attachment::take_assigned(ipam ? ipam->finish() : *chained, 0, result);
  attachment::bring_up(sides.netns, sides.container, link, result);
  if (request.config.dns) result.dns = *request.config.dns;
  return result;
}

void check_link_mode(const netlink::Link& link, IpvlanMode mode) {
  if (link.ipvlan_mode == mode) return;
  throw Error(Code::kCheckFailed,
              cat("container ipvlan mode ", to_string(link.ipvlan_mode.value_or(IpvlanMode::kL2)),
                  " does not match expected value: ", to_string(mode)),
              "all ipvlans on one link have the mode of the latest one");
}

// Without a name, ADD took the interface of a plugin before or the default route's, and prevResult
// does not say which: by now it describes the ipvlan itself. Then any will do.
void check_master(attachment::Sides& sides, const Config& config, const netlink::Link& link) {
  if (!config.master.empty()) {
    const attachment::Master master =
        attachment::find_master(sides, config.master, config.link_in_container);
    attachment::check_master_mtu(config.mtu, master);
    attachment::check_parent(sides, link, master);
  } else if (!attachment::has_parent_in(sides, link, config.link_in_container)) {
    throw Error(Code::kCheckFailed,
                cat("master of ", link.name, " is not ",
                    config.link_in_container ? "in the container" : "on the host"));
  }
}

void check(const skel::Request& request) {
  const Config config = parse(request);
  const Interface& expected = delegate::expected_interface(request);
  const Result& result = *request.config.prev_result();
  delegate::ipam_check(request);

  attachment::Sides sides = attachment::open_sides(request);
  const netlink::Link link = attachment::check_link(sides.container, expected, "ipvlan");
  check_link_mode(link, config.mode);
  check_master(sides, config, link);
  delegate::check_addresses(sides.container, link, result);
  delegate::check_routes(sides.container, link, result);
}

void status(const skel::Request& request) {
  const Config config = parse(request);
  netlink::Socket host = netlink::Socket::open();
  attachment::require_link_kinds(host, {"ipvlan"});
  // A master inside the container is known only at ADD, and so is that of a plugin before: only
  // where there is one can the ipam section be missing.
  const bool from_chain = config.master.empty() && request.config.ipam_type.empty();
  if (!config.link_in_container && !from_chain) {
    attachment::require_available([&] {
      const attachment::Master master = attachment::find_host_master(host, config.master);
      attachment::check_master_mtu(config.mtu, master);
      check_mode(host, master, config.mode);
    });
  }
  delegate::ipam_status(request);
}

}  // namespace

const skel::Plugin plugin{.name = "ipvlan",
                          .add = add,
                          .del = attachment::remove_link_and_addresses,
                          .check = check,
                          .status = status,
                          .gc = delegate::ipam_gc,
                          .update = &attachment::kRouteUpdate,
                          .description = &kDescription};

}  // namespace cni::ipvlan
