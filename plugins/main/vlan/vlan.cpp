#include "plugins/main/vlan/vlan.hpp"

#include <cerrno>

#include "pkg/attachment/child_link.hpp"
#include "pkg/attachment/interface.hpp"
#include "pkg/attachment/link_users.hpp"
#include "pkg/attachment/live_routes.hpp"
#include "pkg/delegate/delegate.hpp"
#include "pkg/delegate/ipam.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/new_link.hpp"
#include "pkg/types/error.hpp"
#include "plugins/main/vlan/config.hpp"

namespace cni::vlan {
namespace {

// The kernel refuses to set a vlan up before its master.
void check_master(const Config& config, const attachment::Master& master) {
  attachment::check_master_mtu(config.mtu, master);
  if (master.link.is_up()) return;
  throw Error(Code::kSystemCall,
              cat("master ", quote(master.link.name), " is down: a vlan cannot be up before it"),
              "set the master up", ENETDOWN);
}

// Which interface has the VLAN: the kernel says EEXIST whichever namespace it is in.
std::string owner_of(attachment::Sides& sides, const Config& config,
                     const attachment::Master& master) {
  const auto user = attachment::find_link_user(
      sides, master, {"vlan"},
      [&](const netlink::Link& link) { return link.vlan_id == config.vlan_id; });
  return cat("VLAN ", config.vlan_id, " of ", config.master, " is that of ",
             user ? user->describe()
                  : "an interface whose namespace is not below /run/netns, or is just going away");
}

netlink::Link add_link(const skel::Request& request, const Config& config, attachment::Sides& sides,
                       os::Undo& undo) {
  const attachment::Master master =
      attachment::find_master(sides, config.master, config.link_in_container);
  check_master(config, master);
  const auto create = [&](netlink::Socket& socket, const netlink::Child& link) {
    netlink::add_vlan(
        socket,
        {.link = link, .id = static_cast<std::uint16_t>(config.vlan_id), .mtu = config.mtu});
  };
  try {
    return attachment::add_child_link(request, "vlan", sides, master, create, undo);
  } catch (Error& error) {
    const bool name_is_taken =
        error.sys_errno == EEXIST && netlink::find_link(sides.container, request.ifname);
    if (error.sys_errno == EEXIST && !name_is_taken) {
      error.add_detail(owner_of(sides, config, master));
    }
    throw;
  }
}

Result add(const skel::Request& request, os::Undo& undo) {
  const Config config = parse(request);
  delegate::check_type(request.config.ipam_type);
  attachment::Sides sides = attachment::open_sides(request);
  delegate::IpamAddition ipam(request);

  const netlink::Link link = add_link(request, config, sides, undo);
  ipam.begin(undo);
  Result result = attachment::describe_link(request, link);
  attachment::take_assigned(ipam.finish(), 0, result);
  attachment::bring_up(sides.netns, sides.container, link, result);
  if (request.config.dns) result.dns = *request.config.dns;
  return result;
}

netlink::Link check_link(netlink::Socket& container, const Config& config,
                         const Interface& expected) {
  netlink::Link link = attachment::check_link(container, expected, "vlan");
  const int id = link.vlan_id.value_or(0);
  if (id != config.vlan_id) {
    throw Error(Code::kCheckFailed,
                cat("VLAN of ", link.name, " is ", id, ", expected ", config.vlan_id));
  }
  if (config.mtu != 0 && link.mtu != config.mtu) {
    throw Error(Code::kCheckFailed,
                cat("MTU of ", link.name, " is ", link.mtu, ", expected ", config.mtu));
  }
  return link;
}

void check(const skel::Request& request) {
  const Config config = parse(request);
  delegate::check_type(request.config.ipam_type);
  const Interface& expected = delegate::expected_interface(request, "vlan: ");
  const Result& result = *request.config.prev_result();
  delegate::ipam_check(request);

  attachment::Sides sides = attachment::open_sides(request);
  const attachment::Master master =
      attachment::find_master(sides, config.master, config.link_in_container);
  const netlink::Link link = check_link(sides.container, config, expected);
  attachment::check_parent(sides, link, master);
  delegate::check_addresses(sides.container, link, result);
  delegate::check_routes(sides.container, link, result);
}

void status(const skel::Request& request) {
  const Config config = parse(request);
  delegate::check_type(request.config.ipam_type);
  netlink::Socket host = netlink::Socket::open();
  attachment::require_link_kinds(host, {"vlan"});
  // A master inside the container is known only at ADD.
  if (!config.link_in_container) {
    attachment::require_available(
        [&] { check_master(config, attachment::find_host_master(host, config.master)); });
  }
  delegate::ipam_status(request);
}

}  // namespace

const skel::Plugin plugin{.name = "vlan",
                          .add = add,
                          .del = attachment::remove_link_and_addresses,
                          .check = check,
                          .status = status,
                          .gc = delegate::ipam_gc,
                          .update = &attachment::kRouteUpdate,
                          .description = &kDescription};

}  // namespace cni::vlan
