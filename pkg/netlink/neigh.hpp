// Neighbours: entries of the ARP and NDP tables, and telling the neighbourhood about new addresses.
#pragma once

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/address.hpp"

namespace cni::netlink {

struct Neighbour {
  LinkIndex link = LinkIndex::kNone;
  Ip address;
  Mac mac;
};

// Adds or replaces a permanent entry.
void set_neighbour(Socket& socket, const Neighbour& neighbour);
// False if there is no such entry.
bool remove_neighbour(Socket& socket, const Neighbour& neighbour);

// Makes the kernel send a gratuitous ARP request for each IPv4 and an unsolicited neighbour
// advertisement (RFC 4861 7.2.6) for each IPv6 address of a link that is up, by setting its MAC
// address to what it is. The link's arp_notify and ndisc_notify have to be 1. A packet socket would
// do it too, but closing one waits for an RCU grace period: 12 ms. Returns false if the kernel
// refuses; nothing depends on it.
bool announce_addresses(Socket& socket, const Link& link);

}  // namespace cni::netlink
