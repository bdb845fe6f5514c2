// The ifb device of an attachment: what the container's link receives is redirected to it, so that
// it can be queued.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "pkg/netlink/container_veth.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/os/undo.hpp"
#include "pkg/types/config.hpp"

namespace cni::bandwidth {

using Owner = netlink::VethOwner;

// The name that the reference plugin gives the device: one for all interfaces that a container has
// in a network.
std::string reference_ifb_name(const Owner& owner);
// The name under which ours is born, and which it keeps if another of the container's interfaces
// has the reference's.
std::string own_ifb_name(const Owner& owner);

// Makes the device in the socket's namespace, which is at `netns_path` (empty: the host's), marks
// it with its owner and sets it up; pushes its removal.
netlink::Link add_ifb(netlink::Socket& socket, const std::string& netns_path, const Owner& owner,
                      std::uint32_t mtu, os::Undo& undo);

// The attachment's device: ours by its name or mark, or one of the reference, which has no mark and
// is any interface's of the container, if `takes_unmarked` says so of it.
std::optional<netlink::Link> find_ifb(
    netlink::Socket& socket, const Owner& owner,
    const std::function<bool(const netlink::Link&)>& takes_unmarked);

// GC: removes the devices of a network whose attachments are not in the list. Those of the
// reference stay: their names do not tell whose they are, and another network's are not ours.
void remove_stale_ifbs(netlink::Socket& host, std::string_view network,
                       std::span<const Attachment> valid);

}  // namespace cni::bandwidth
