// How nf_tables writes things on the wire; private to this folder.
#pragma once

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>

#include <cstdint>

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

}  // namespace cni::netfilter
