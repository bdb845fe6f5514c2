// Addresses as netlink messages. Private to this folder.
#pragma once

#include <cstdint>
#include <functional>

#include "pkg/netlink/addr.hpp"
#include "pkg/netlink/message.hpp"
#include "pkg/netlink/socket.hpp"

namespace cni::netlink {

// An RTM_NEWADDR message.
Address read_address(const nlmsghdr* message);

// Dumps the addresses of one link, of a family as AF_INET; none if there is no such link.
void dump_addresses(Socket& socket, LinkIndex index, std::uint8_t family,
                    const Socket::OnMessage& take, const std::function<void()>& restart);

}  // namespace cni::netlink
