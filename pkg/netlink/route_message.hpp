// Routes as netlink messages. Private to this folder.
#pragma once

#include <functional>

#include "pkg/netlink/message.hpp"
#include "pkg/netlink/route.hpp"
#include "pkg/netlink/socket.hpp"

namespace cni::netlink {

// An RTM_NEWROUTE message.
Route read_route(const nlmsghdr* message);

// RTM_GETROUTE for what the filter names.
Message route_dump(const RouteFilter& filter);
// Dumps routes; none if there is no such table.
void dump_routes(Socket& socket, Message& message, const Socket::OnMessage& take,
                 const std::function<void()>& restart);

// Sends RTM_DELROUTE; false if there is no such route.
bool delete_route(Socket& socket, Message& message, const Route& route);

}  // namespace cni::netlink
