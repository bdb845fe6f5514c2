// The egress rules of a network in nftables; private to this folder.
//
// A network with egress rules has a chain of its own, sets of its containers' addresses that lead
// there, and sets of the destinations that are allowed or denied. All but the containers' addresses
// is replaced as a whole when the network's configuration has changed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pkg/netfilter/firewall.hpp"
#include "pkg/netfilter/nft.hpp"
#include "pkg/netlink/socket.hpp"

namespace cni::netfilter::filtering {

// What the rules of a network come to. Nothing, if there are none.
struct EgressPlan {
  struct Destinations {
    NftSet set;
    std::vector<NftElement> elements;  // that do not overlap
  };
  std::vector<Destinations> destinations;
  std::vector<NftRule> rules;
};
EgressPlan plan_egress(const FirewallSpec& spec);

// What the names of a network's objects have in common: the hash of its name.
std::string egress_tag(std::string_view network);
// The set with the addresses of the network's containers.
std::string egress_sources_set(std::string_view tag, Family family);

// The first thing that differs from the plan, for messages; empty if nothing does.
std::string describe_difference(netlink::Socket& socket, std::string_view tag,
                                const EgressPlan& plan);
// Puts the plan in place of whatever the network has.
void replace_egress(netlink::Socket& socket, NftTransaction& transaction, const Owner& owner,
                    const EgressPlan& plan);
// Deletes all of the network's objects, its containers' addresses included.
void delete_egress(netlink::Socket& socket, NftTransaction& transaction, std::string_view tag);

}  // namespace cni::netfilter::filtering
