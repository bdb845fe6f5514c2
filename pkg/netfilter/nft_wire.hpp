// How nf_tables writes things on the wire; private to this folder.
#pragma once

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "pkg/netfilter/nft.hpp"
#include "pkg/netlink/message.hpp"

namespace cni::netfilter {

// The comment's type in the userdata of tables, chains, rules and elements: type, length, text with
// its NUL.
constexpr std::uint8_t kUserdataComment = 0;

// Where a field of a packet is found: a meta key if length is 0, else octets behind a header.
struct WireField {
  std::uint32_t key_or_base = 0;
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
};

const WireField& wire_field(NftField field);

// A message to nf_tables, with its family header.
inline netlink::Message nft_message(NftFamily family, int type, int flags) {
  netlink::Message out(NFNL_SUBSYS_NFTABLES << 8 | type, flags);
  out.header(nfgenmsg{static_cast<std::uint8_t>(family), NFNETLINK_V0, 0});
  return out;
}

// Appends one entry to userdata.
void append_nft_userdata(std::string& out, std::uint8_t type, std::string_view value);
// Userdata with nothing but a comment; empty without one.
std::string nft_comment_userdata(std::string_view comment, std::uint8_t type = kUserdataComment);

// Reads what an extension of iptables, named by NFTA_MATCH_NAME or NFTA_TARGET_NAME, says.
void read_iptables_match(const netlink::Attributes& match, NftRuleInfo& out);
// An address in it is of that family.
void read_iptables_target(const netlink::Attributes& target, Family family, NftRuleInfo& out);

void put_nft_verdict(netlink::Message& message, const NftVerdict& verdict);
// An attribute of that type with octets in it.
void put_nft_value(netlink::Message& message, int type, std::string_view value);
// NEWRULE; position_flag is NLM_F_APPEND, or 0 to put the rule first.
netlink::Message nft_rule_message(const NftTable& table, std::string_view chain,
                                  const NftRule& rule, int position_flag);

// The verdict in NFTA_..._DATA; absent if it is none.
std::optional<NftVerdict> nft_verdict_in(const netlink::Attributes& data);
// Calls visit for each rule of a chain, in their order. The kernel's list may change while it is
// read: restart is called when it begins anew. Nothing is visited without the table or chain.
void nft_visit_rules(netlink::Socket& socket, const NftTable& table, std::string_view chain,
                     const std::function<void(const netlink::Attributes& rule)>& visit,
                     const std::function<void()>& restart);

}  // namespace cni::netfilter
