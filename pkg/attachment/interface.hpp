// What the plugins that give a container an interface have in common.
#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/os/undo.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/types/result.hpp"

namespace cni::attachment {

// The name under which a link is born where CNI_IFNAME is not free yet: one that only this
// attachment has. remove_link knows it.
std::string birth_name(const skel::Request& request);

// The undo step for a link that was just made under CNI_IFNAME in CNI_NETNS.
void push_link_removal(const skel::Request& request, os::Undo& undo);

// Removes the link called CNI_IFNAME from CNI_NETNS, and one that an ADD was killed over before it
// had that name. False if there is no such namespace or link.
bool remove_link(const skel::Request& request);

// CHECK: the link that prevResult describes, with its MAC address and, if one is given, of that
// kind
// ("veth"). Throws Code::kCheckFailed.
netlink::Link check_link(netlink::Socket& container, const Interface& expected,
                         std::optional<std::string_view> kind = std::nullopt);

// Makes the host a router for the families of these addresses. Shared by everything on the host:
// ensured, never undone.
void enable_forwarding(const std::vector<Ip>& addresses);

// Moves what an IPAM plugin assigned into the result; its addresses belong to the interface of that
// index.
void take_assigned(Result assigned, int interface, Result& result);

// The result of a plugin whose only interface is the container's.
Result describe_link(const skel::Request& request, const netlink::Link& link);

// Sets the only interface of the result up, with the result's addresses and routes if it has any,
// which it then announces. Others on the wire may have the addresses, so their detection runs as
// the kernel has it.
void bring_up(const ns::Netns& netns, netlink::Socket& container, const netlink::Link& link,
              const Result& result);

// DEL: the link called CNI_IFNAME in CNI_NETNS, and what its IPAM plugin assigned. Without the
// namespace there is no link: the kernel deletes a virtual one with it.
void remove_link_and_addresses(const skel::Request& request);

// STATUS: whatever fn throws means that ADD cannot work now: Code::kPluginNotAvailable.
void require_available(const std::function<void()>& fn);
// The same for link types that the kernel has to have.
void require_link_kinds(netlink::Socket& host, std::initializer_list<std::string_view> kinds);

}  // namespace cni::attachment
