// The chains and rules that publish ports with iptables, to the letter those of the reference
// plugins. Private to this folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pkg/netfilter/port_map.hpp"
#include "pkg/types/address.hpp"

namespace cni::netfilter {

// The ways into published ports, shared by all attachments.
inline constexpr std::string_view kPortMapEntries = "CNI-HOSTPORT-DNAT";
inline constexpr std::string_view kPortMapSetMark = "CNI-HOSTPORT-SETMARK";
inline constexpr std::string_view kPortMapMasquerade = "CNI-HOSTPORT-MASQ";
// What chains of attachments begin with.
inline constexpr std::string_view kPortMapChainPrefix = "CNI-DN-";
// What the rules end in that send connections on to a container.
inline constexpr std::string_view kDnatExtension = "DNAT";
// Releases before 0.7.1 of the reference plugins had a second chain for each attachment.
inline constexpr std::string_view kOldSnatEntries = "CNI-HOSTPORT-SNAT";

// The chain of all attachments of the container to the network.
std::string port_map_chain(std::string_view network, std::string_view container_id);
std::string old_snat_chain(std::string_view network, std::string_view container_id);

// What the comments of entry rules of the network begin with.
std::string port_map_comment_start(std::string_view network);
// Such a comment in words: "container C (network N)"; in quotes if it is another one.
std::string describe_port_map_comment(std::string_view comment);

// A rule of a shared chain, which may stand there already.
struct SharedRule {
  std::string_view chain;
  std::string rule;  // "CHAIN specification", as all rules below
};
// From the chains of the kernel to kPortMapEntries.
std::vector<SharedRule> port_map_jumps();
// What masquerades marked connections; none unless our own mark is used.
struct MarkRules {
  std::string set_mark;    // in kPortMapSetMark
  std::string masquerade;  // in kPortMapMasquerade
  std::string jump;        // from POSTROUTING, which it has to come first in
};
MarkRules port_map_mark_rules(const PortMapSpec& spec);
bool uses_own_mark(const PortMapSpec& spec);

// The rules of the attachment's chain.
std::vector<std::string> port_map_rules(const PortMapSpec& spec, Family family);

// Such a rule as -S prints it, behind "-A ".
std::string printed_port_map_rule(std::string_view rule);

// The rules that lead to it, each for at most 15 ports of a protocol.
struct EntryRule {
  Transport transport = Transport::kTcp;
  std::vector<std::uint16_t> ports;
  std::string rule;
};
std::vector<EntryRule> port_map_entries(const PortMapSpec& spec, Family family);

}  // namespace cni::netfilter
