// Connection tracking: what the kernel remembers of UDP flows, and with it where NAT sends them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "pkg/netlink/socket.hpp"
#include "pkg/types/address.hpp"

namespace cni::netfilter {

// A UDP port of this host, as a client addresses it: before NAT. The address, if there is one, is
// of the family.
struct UdpDestination {
  Family family = Family::kIpv4;
  std::uint16_t port = 0;
  std::optional<Ip> address;  // absent: every address of the host

  bool operator==(const UdpDestination& other) const = default;
};

// Makes the kernel forget the UDP flows that were begun to one of the destinations, so that the
// next packet of each meets the NAT rules anew: a client that keeps sending would stay with where
// its first packet went. All other flows are left alone; so are those to addresses that are not the
// host's, unless such an address was asked for. May be repeated; a kernel without connection
// tracking, or without its netlink interface, has nothing to forget.
//
// The socket is one of Protocol::kNetfilter in the calling thread's network namespace.
void forget_udp_connections(netlink::Socket& netfilter,
                            std::span<const UdpDestination> destinations);

}  // namespace cni::netfilter
