// The nftables objects that published ports share: chains, rules and sets; private to this folder.
// docs/netfilter.md shows them and the way of a packet through them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pkg/netfilter/nft.hpp"
#include "pkg/netfilter/port_map_elements.hpp"
#include "pkg/netlink/socket.hpp"

namespace cni::netfilter::published {

// The shared objects of one family: read before each ADD, because whoever flushes rules leaves sets
// behind.
class Shared {
 public:
  Shared(netlink::Socket& socket, Family family);

  // Adds what is missing for an attachment with that target. Of two that make a set at once the
  // second is refused as a whole and looks again.
  void add_missing(NftTransaction& transaction, const PortMapSpec& spec,
                   const Prefix& target) const;
  // The first thing that is missing, as a sentence; empty if nothing is.
  std::string describe_missing(const PortMapSpec& spec, const Prefix& target) const;

 private:
  bool has_masquerade_rule(std::string_view set) const;
  bool has_entries() const;
  void add_base(NftTransaction& transaction) const;
  void add_hairpin(NftTransaction& transaction, const Prefix& target) const;

  netlink::Socket& socket_;
  Family family_;
  std::vector<NftRuleInfo> masquerade_rules_;
  bool has_published_;
  bool has_postrouting_;
};

// The maps and sets with elements of attachments, which exist in one family.
std::vector<std::string> element_sets(netlink::Socket& socket, Family family);

}  // namespace cni::netfilter::published
