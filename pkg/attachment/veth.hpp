// A container connected with the host by a veth pair: the pair itself, and the masquerade of its
// addresses.
#pragma once

#include <string>

#include "pkg/netfilter/connection.hpp"
#include "pkg/netfilter/masquerade.hpp"
#include "pkg/netlink/container_veth.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/os/undo.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/skel/restoration.hpp"
#include "pkg/types/address.hpp"

namespace cni::attachment {

netlink::VethOwner veth_owner(const skel::Request& request);

// Makes the pair, both ends down; pushes its removal.
netlink::ContainerVeth add_veth(const skel::Request& request, const Mac& mac, std::uint32_t mtu,
                                netlink::Socket& host, netlink::Socket& container, os::Undo& undo);

// Removes the pair by its end in the container or, where that cannot be found, by its end on the
// host.
void remove_veth(const skel::Request& request);

// GC: removes the pairs of the network whose attachments are not valid any more.
void gc_veths(const skel::Request& request);

// The masquerade of the attachment. Addresses are those of `result`; unknown if it is null.
netfilter::MasqueradeSpec masquerade_spec(const skel::Request& request, std::string backend,
                                          const Result* result);

// RECONCILE: puts back what is missing of it.
void restore_masquerade(const skel::Request& request, std::string backend,
                        skel::Restoration& restoration);

// DEL: removes the masquerade of the attachment in both backends, by the addresses of prevResult if
// there is one.
// The connection is to be closed after the rest of DEL is done: see netfilter/connection.hpp.
void remove_masquerade(const skel::Request& request, netfilter::Connection& connection);

// GC: removes the masquerade of the network's attachments that are not valid any more.
void gc_masquerade(const skel::Request& request);

// STATUS: throws Code::kPluginNotAvailable if the backend cannot be used.
void probe_masquerade(const skel::Request& request, std::string_view backend);

}  // namespace cni::attachment
