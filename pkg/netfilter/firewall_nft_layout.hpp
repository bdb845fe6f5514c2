// The nftables objects of the firewall that all attachments share; private to this folder.
// docs/firewall.md shows them and the way of a packet through them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pkg/netfilter/nft.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/address.hpp"

namespace cni::netfilter::filtering {

// `inet cni_firewall` for what is routed, `bridge cni_firewall` for frames within a bridge.
NftTable table();
NftTable bridge_table();

// The containers' addresses.
std::string_view containers_set(Family family);
// The attachments: a digest of whose they are, and how many elements they have besides.
inline constexpr std::string_view kAttachments = "attachments";
// Who needs what of a bridge or network. An element leads to an empty chain of that thing, so that
// the kernel counts how many need it, and refuses to delete the chain as long as somebody does. No
// rule looks the map up.
inline constexpr std::string_view kHolders = "holders";
// Bridges with a policy; pairs of such a bridge and itself, between which the policy is not asked;
// and pairs of a bridge and itself whose containers are isolated.
inline constexpr std::string_view kBridges = "bridges";
inline constexpr std::string_view kWithinBridge = "within_bridge";
inline constexpr std::string_view kIsolatedBridges = "isolated";
// Of the bridge table: ports of isolated containers.
inline constexpr std::string_view kIsolatedPorts = "isolated_ports";

// The operator's chain, and the one with a jump for each network that has egress rules.
inline constexpr std::string_view kAdminChain = "admin";
inline constexpr std::string_view kEgressChain = "egress";

// Sets, and chains with all their rules, which are made and mended together. What a chain jumps to
// stands before it.
struct SharedChain {
  NftChain chain;
  std::vector<NftRule> rules;  // told apart by their comments
};
struct SharedPart {
  NftTable table;
  std::vector<NftSet> sets;
  std::vector<SharedChain> chains;
};

// What every attachment needs, what egress rules need besides, and what isolation within a bridge
// needs besides.
SharedPart forward_part();
SharedPart input_part();
SharedPart bridge_part();

// Adds what is missing of the part. Sets are only looked for if rules are missing or is_thorough.
// Of two that make a set at once the second is refused as a whole and looks again.
void add_missing(netlink::Socket& socket, NftTransaction& transaction, const SharedPart& part,
                 bool is_thorough);
// The first thing that is missing, for messages; empty if nothing is.
std::string describe_missing(netlink::Socket& socket, const SharedPart& part);

// A rule's first expressions: the IP source or destination address into register 1, for packets of
// that family only.
std::vector<NftExpression> load_source(Family family);
std::vector<NftExpression> load_destination(Family family);
// "ipv4", "ipv6", for names.
std::string_view suffix(Family family);

}  // namespace cni::netfilter::filtering
