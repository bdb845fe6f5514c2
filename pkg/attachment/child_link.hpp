// A container's interface that stands on another link, its master: macvlan, ipvlan, vlan.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/new_link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/os/undo.hpp"
#include "pkg/skel/request.hpp"

namespace cni::attachment {

// The two namespaces of an attachment, each with a socket in it.
struct Sides {
  ns::Netns netns;  // the container's
  netlink::Socket host;
  netlink::Socket container;
};
// Throws as Netns::open does.
Sides open_sides(const skel::Request& request);

struct Master {
  netlink::Link link;
  bool in_container = false;
};

// The link called `name`, or that of the default route if the name is empty; in the container if
// linkInContainer is set. Throws Code::kInvalidNetworkConfig if there is no such link.
Master find_master(Sides& sides, const std::string& name, bool in_container);
// The same on the host, for STATUS.
Master find_host_master(netlink::Socket& host, const std::string& name);

// Throws Code::kInvalidNetworkConfig for an MTU above the master's. 0 (not set) passes.
void check_master_mtu(std::uint32_t mtu, const Master& master);

// Makes CNI_IFNAME in the container by create(socket, link), and pushes its removal. An error says
// "failed to create KIND", and in its details what keeps the master busy or which name is taken.
using CreateLink = std::function<void(netlink::Socket&, const netlink::Child&)>;
netlink::Link add_child_link(const skel::Request& request, std::string_view kind, Sides& sides,
                             const Master& master, const CreateLink& create, os::Undo& undo);

// CHECK: throws Code::kCheckFailed unless the container's link stands on this master.
void check_parent(Sides& sides, const netlink::Link& link, const Master& master);
// Whether the container's link stands on one of the host, or of the container.
bool has_parent_in(Sides& sides, const netlink::Link& link, bool in_container);

}  // namespace cni::attachment
