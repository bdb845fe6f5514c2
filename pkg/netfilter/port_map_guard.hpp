// Who may use a published port, in nftables: a chain for each mapping with sources, and one for the
// attachment's conditions. Such a chain returns for whom the port is published and ends the way for
// everybody else, to whom the port is one of the host's own. Private to this folder.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/netfilter/nft.hpp"
#include "pkg/netfilter/port_map.hpp"
#include "pkg/netlink/socket.hpp"

namespace cni::netfilter::published {

// How many mappings of the family have a guard: the elements that lead to one.
std::size_t count_guards(const PortMapSpec& spec, Family family);

// Adds the chains, and the elements that lead to them, to a transaction on the family's table. The
// chain of the conditions lets nobody pass yet.
void add_guards(NftTransaction& transaction, const PortMapSpec& spec, Family family);

// Puts the conditions, which are nft's own words, into their chain: runs nft, which is needed for
// that. Throws what nft says of them.
void add_conditions(const PortMapSpec& spec, Family family);

// Flushes and deletes the chains of the attachment with that digest (owner_id); the elements that
// lead to them have to go before them, in the same transaction.
void delete_guards(netlink::Socket& socket, NftTransaction& transaction, std::string_view digest,
                   Family family);

// The first thing that is missing, as a sentence; empty if nothing is.
std::string describe_missing_guard(netlink::Socket& socket, const PortMapSpec& spec, Family family);

}  // namespace cni::netfilter::published
