// What attachments need of what they share: a bridge's ingress policy, a network's egress rules.
// It goes with the last one that needs it; private to this folder.
//
// For each such thing there is an empty chain, to which one element of kHolders leads for each
// attachment. So the kernel counts them, and deletes the chain only if there are none: in one
// transaction with what the chain stands for, whoever else adds or deletes at the same time.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/netfilter/firewall.hpp"
#include "pkg/netfilter/nft.hpp"
#include "pkg/netlink/socket.hpp"

namespace cni::netfilter::filtering {

enum class Use { kBridge, kIsolated, kEgress };
inline constexpr std::array<Use, 3> kUses = {Use::kBridge, Use::kIsolated, Use::kEgress};

// The uses that the attachment has by its configuration.
std::vector<Use> uses_of(const FirewallSpec& spec);
// The key of the attachment's element in kHolders, and the chain to which it leads.
std::string holder_key(const Owner& owner, Use use);
std::string use_chain(const FirewallSpec& spec, Use use);
Use use_of_chain(std::string_view chain);

// Elements that all attachments with the same need share, and their set.
struct SharedElement {
  std::string_view set;
  std::string key;
};
std::vector<SharedElement> shared_elements(std::string_view chain);

// Adds the chain and the shared elements, as far as they are missing. Not what egress rules are.
void add_use(NftTransaction& transaction, std::string_view chain);
// Deletes what the chain stands for, and the chain.
void sweep(netlink::Socket& socket, NftTransaction& transaction, std::string_view chain);
// Sweeps those chains that nobody needs any more.
void sweep_unused(netlink::Socket& socket, const std::vector<std::string>& chains);

}  // namespace cni::netfilter::filtering
