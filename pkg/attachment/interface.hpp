// What the plugins that give a container an interface have in common.
#pragma once

#include <string_view>
#include <vector>

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/os/undo.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/types/result.hpp"

namespace cni::attachment {

// The undo step for a link that was just made under CNI_IFNAME in CNI_NETNS.
void push_link_removal(const skel::Request& request, os::Undo& undo);

// Removes the link called CNI_IFNAME from CNI_NETNS. False if there is no such namespace or link.
bool remove_link(const skel::Request& request);

// CHECK: the link that prevResult describes, of the given kind ("veth") and with its MAC address.
// Throws Code::kCheckFailed.
netlink::Link check_link(netlink::Socket& container, const Interface& expected,
                         std::string_view kind);

// Makes the host a router for the families of these addresses. Shared by everything on the host:
// ensured, never undone.
void enable_forwarding(const std::vector<Ip>& addresses);

// Moves what an IPAM plugin assigned into the result; its addresses belong to the interface of that
// index.
void take_assigned(Result assigned, int interface, Result& result);

}  // namespace cni::attachment
