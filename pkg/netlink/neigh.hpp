// Neighbours: entries of the ARP and NDP tables, and telling the neighbourhood about new addresses.
#pragma once

#include <optional>
#include <vector>

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

// Sends a gratuitous ARP request (RFC 5227 3) for each IPv4 and an unsolicited neighbour advertisement (RFC 4861 7.2.6) for
// each IPv6 address, from the calling thread's namespace. Returns false if the packets could not be sent; nothing depends on
// them.
bool announce_addresses(LinkIndex link, const Mac& mac, const std::vector<Ip>& addresses);

}  // namespace cni::netlink
