// Rules of iptables as it prints them itself, read over netlink where they are kept in nf_tables.
// Private to this folder.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/netfilter/iptables.hpp"
#include "pkg/netfilter/nft.hpp"
#include "pkg/netlink/socket.hpp"

namespace cni::netfilter {

struct IptablesRule {
  // "-s 10.1.0.2/32 -j ACCEPT", what `iptables -S` prints behind the chain's name. Over netlink a
  // match that is not known here is shown as "?": such a text equals none that iptables prints.
  std::string text;
  std::uint64_t handle = 0;  // in nf_tables; 0: from a program
};

// Some chains of one table of one family, as they were when they were read.
class IptablesChains {
 public:
  // What iptables over nf_tables has. Runs no program.
  static IptablesChains over_netlink(netlink::Socket& socket, Family family, std::string_view table,
                                     std::span<const std::string> names);
  // All chains of the table, as the program lists them. None if it cannot.
  static IptablesChains from_program(const Iptables& iptables, std::string_view table);

  bool has(std::string_view chain) const { return chains_.contains(chain); }
  // None of an absent chain.
  std::span<const IptablesRule> rules(std::string_view chain) const;
  // The index of the first such rule.
  std::optional<std::size_t> find(std::string_view chain, std::string_view text) const;

 private:
  std::map<std::string, std::vector<IptablesRule>, std::less<>> chains_;
};

// What iptables over nf_tables calls the table.
NftTable iptables_nft_table(Family family, std::string_view table);

}  // namespace cni::netfilter
