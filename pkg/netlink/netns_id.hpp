// The numbers by which namespaces name each other: a link whose parent is in another namespace says
// only the number (Link::parent_netns_id).
#pragma once

#include <optional>

#include "pkg/netlink/socket.hpp"
#include "pkg/ns/netns.hpp"

namespace cni::netlink {

// The number by which the socket's namespace names another; absent if it has none for it. The
// kernel gives one when a link with a parent there is looked at.
std::optional<int> find_netns_id(Socket& socket, const ns::Netns& other);

}  // namespace cni::netlink
