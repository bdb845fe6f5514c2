#include "pkg/attachment/child_link.hpp"

#include <cerrno>
#include <utility>

#include "pkg/attachment/interface.hpp"
#include "pkg/attachment/link_users.hpp"
#include "pkg/netlink/netns_id.hpp"
#include "pkg/netlink/route.hpp"
#include "pkg/types/error.hpp"

namespace cni::attachment {
namespace {

netlink::Socket& side_of(Sides& sides, const Master& master) {
  return master.in_container ? sides.container : sides.host;
}

// What keeps a link busy: the kernel only says EBUSY.
std::string holder_of(Sides& sides, const Master& master) {
  const std::string& name = master.link.name;
  if (master.link.master != netlink::LinkIndex::kNone) {
    const auto upper = netlink::find_link(side_of(sides, master), master.link.master);
    if (upper) return cat(name, " is a port of ", upper->kind, " ", upper->name);
  }
  const auto user = find_link_user(sides, master, {"ipvlan", "ipvtap", "macvlan", "macvtap"},
                                   [](const netlink::Link& /*any will do*/) { return true; });
  if (user) return cat(name, " is used by ", user->describe());
  return cat(name, " is used by a macvlan or ipvlan of a namespace that is not below /run/netns");
}

Master find_master_in(netlink::Socket& socket, const std::string& name, bool in_container) {
  if (name.empty()) {
    const auto index = netlink::find_default_route_link(socket);
    if (index) return {netlink::get_link(socket, *index), in_container};
    throw Error(Code::kInvalidNetworkConfig, "no default route interface found",
                "set master to the name of a link");
  }
  auto link = netlink::find_link(socket, name);
  if (link) return {*std::move(link), in_container};
  throw Error(Code::kInvalidNetworkConfig,
              cat("failed to lookup master ", quote(name), ": no such device"),
              in_container ? "looked for in the container, as linkInContainer is true" : "");
}

// Kernels before 6.14 refuse a name that the host has too, although the link is not to be born
// there. Then it gets one that only this attachment has, until it is where it belongs.
void create_under_free_name(const skel::Request& request, Sides& sides, netlink::Socket& side,
                            netlink::Child& link, const CreateLink& create) {
  try {
    create(side, link);
  } catch (const Error& error) {
    const bool taken_on_host = error.sys_errno == EEXIST && link.netns_fd >= 0 &&
                               netlink::find_link(sides.host, request.ifname) &&
                               !netlink::find_link(sides.container, request.ifname);
    if (!taken_on_host) throw;
    link.name = birth_name(request);
    try {
      create(side, link);
    } catch (const Error& second) {
      // Then it was not for the name, and the first error says CNI_IFNAME.
      if (second.sys_errno == EEXIST) throw Error(error);
      throw;
    }
  }
}

void rename_in_container(netlink::Socket& container, const std::string& from,
                         const std::string& to) {
  netlink::LinkChange change;
  change.name = to;
  netlink::change_link(container, netlink::get_link(container, from).index, change,
                       cat("rename ", from, " to ", to));
}

}  // namespace

Sides open_sides(const skel::Request& request) {
  ns::Netns netns = ns::Netns::open(request.netns);
  netlink::Socket container = netlink::Socket::open_in(netns);
  return {std::move(netns), netlink::Socket::open(), std::move(container)};
}

Master find_master(Sides& sides, const std::string& name, bool in_container) {
  return find_master_in(in_container ? sides.container : sides.host, name, in_container);
}

Master find_host_master(netlink::Socket& host, const std::string& name) {
  return find_master_in(host, name, false);
}

void check_master_mtu(std::uint32_t mtu, const Master& master) {
  if (mtu <= master.link.mtu) return;
  throw Error(Code::kInvalidNetworkConfig,
              cat("invalid MTU ", mtu, ", must be [0, master MTU(", master.link.mtu, ")]"));
}

netlink::Link add_child_link(const skel::Request& request, std::string_view kind, Sides& sides,
                             const Master& master, const CreateLink& create, os::Undo& undo) {
  netlink::Socket& side = side_of(sides, master);
  netlink::Child link{.name = request.ifname,
                      .parent = master.link.index,
                      .netns_fd = master.in_container ? -1 : sides.netns.fd()};
  try {
    create_under_free_name(request, sides, side, link, create);
  } catch (Error& error) {
    if (error.sys_errno == EBUSY) error.add_detail(holder_of(sides, master));
    if (error.sys_errno == EEXIST && netlink::find_link(sides.container, request.ifname)) {
      error.add_detail("the container has an interface of that name; choose another CNI_IFNAME");
    }
    error.prepend(cat("failed to create ", kind));
    throw;
  }
  push_link_removal(request, undo);
  if (link.name != request.ifname) rename_in_container(sides.container, link.name, request.ifname);
  return netlink::get_link(sides.container, request.ifname);
}

void check_parent(Sides& sides, const netlink::Link& link, const Master& master) {
  // The kernel puts an ipvlan on an ipvlan, and a macvlan on a macvlan, beside it.
  const bool beside = link.kind != "vlan" && link.kind == master.link.kind;
  const bool same_link = link.parent == (beside ? master.link.parent : master.link.index);
  if (same_link && has_parent_in(sides, link, master.in_container)) return;
  throw Error(Code::kCheckFailed,
              cat("master of ", link.name, " is not ", master.link.name, " any more"));
}

bool has_parent_in(Sides& sides, const netlink::Link& link, bool in_container) {
  if (link.parent == netlink::LinkIndex::kNone) return false;
  if (in_container) return !link.parent_netns_id;
  return link.parent_netns_id &&
         link.parent_netns_id == netlink::find_netns_id(sides.container, ns::Netns::current());
}

}  // namespace cni::attachment
