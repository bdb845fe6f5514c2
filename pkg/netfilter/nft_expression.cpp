// Rules and comments as nf_tables wants them.
// glibc's definitions have to come before the kernel's, which then stand back.
#include <net/if.h>
#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <array>
#include <utility>

#include "pkg/netfilter/nft.hpp"
#include "pkg/netfilter/nft_wire.hpp"
#include "pkg/netlink/message.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/hash.hpp"

namespace cni::netfilter {

using netlink::Message;

namespace {

// Where nft stops accepting a comment that it printed itself.
constexpr std::size_t kMaxComment = 128;

// One expression each: the attributes within NFTA_EXPR_DATA, and the name of the kernel's
// expression.

struct Encoder {
  Message& out;

  void operator()(const NftLoad& load) const {
    const WireField& field = wire_field(load.field);
    const bool is_meta = field.length == 0;
    put(is_meta ? "meta" : "payload", [&](Message& data) {
      if (is_meta) {
        data.put_be32(NFTA_META_KEY, field.key_or_base);
        data.put_be32(NFTA_META_DREG, load.reg);
        return;
      }
      data.put_be32(NFTA_PAYLOAD_DREG, load.reg);
      data.put_be32(NFTA_PAYLOAD_BASE, field.key_or_base);
      data.put_be32(NFTA_PAYLOAD_OFFSET, field.offset);
      data.put_be32(NFTA_PAYLOAD_LEN, field.length);
    });
  }

  void operator()(const NftConnection& connection) const {
    constexpr std::array<std::uint32_t, 3> kKeys = {NFT_CT_STATE, NFT_CT_STATUS, NFT_CT_DIRECTION};
    put("ct", [&](Message& data) {
      data.put_be32(NFTA_CT_KEY, kKeys[static_cast<std::size_t>(connection.key)]);
      data.put_be32(NFTA_CT_DREG, NFT_REG_1);
    });
  }

  void operator()(const NftDestinationType&) const {
    put("fib", [&](Message& data) {
      data.put_be32(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
      data.put_be32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
      data.put_be32(NFTA_FIB_DREG, NFT_REG_1);
    });
  }

  void operator()(const NftCompare& compare) const {
    put("cmp", [&](Message& data) {
      data.put_be32(NFTA_CMP_SREG, NFT_REG_1);
      data.put_be32(NFTA_CMP_OP, compare.equal ? NFT_CMP_EQ : NFT_CMP_NEQ);
      put_nft_value(data, NFTA_CMP_DATA, compare.value);
    });
  }

  void operator()(const NftMask& mask) const {
    put("bitwise", [&](Message& data) {
      data.put_be32(NFTA_BITWISE_SREG, NFT_REG_1);
      data.put_be32(NFTA_BITWISE_DREG, NFT_REG_1);
      data.put_be32(NFTA_BITWISE_LEN, static_cast<std::uint32_t>(mask.mask.size()));
      put_nft_value(data, NFTA_BITWISE_MASK, mask.mask);
      put_nft_value(data, NFTA_BITWISE_XOR, std::string(mask.mask.size(), '\0'));
    });
  }

  void operator()(const NftLookup& lookup) const {
    put("lookup", [&](Message& data) {
      data.put_be32(NFTA_LOOKUP_SREG, NFT_REG_1);
      data.put_string(NFTA_LOOKUP_SET, lookup.set);
      if (lookup.result == NftLookup::Result::kData) data.put_be32(NFTA_LOOKUP_DREG, NFT_REG_1);
      if (lookup.result == NftLookup::Result::kVerdict) {
        data.put_be32(NFTA_LOOKUP_DREG, NFT_REG_VERDICT);
      }
    });
  }

  void operator()(const NftVerdict& verdict) const {
    put("immediate", [&](Message& data) {
      data.put_be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
      data.nest(NFTA_IMMEDIATE_DATA, [&](Message& nested) { put_nft_verdict(nested, verdict); });
    });
  }

  void operator()(const NftMasquerade&) const {
    put("masq", [](Message&) {});
  }

  void operator()(const NftReject&) const {
    put("reject", [](Message& data) {
      data.put_be32(NFTA_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
      data.put_u8(NFTA_REJECT_ICMP_CODE, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
    });
  }

  void operator()(const NftDestinationNat& nat) const {
    const bool is_ipv4 = nat.family == Family::kIpv4;
    put("nat", [&](Message& data) {
      data.put_be32(NFTA_NAT_TYPE, NFT_NAT_DNAT);
      data.put_be32(NFTA_NAT_FAMILY, is_ipv4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
      data.put_be32(NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
      // Behind 4 octets, or behind 16.
      data.put_be32(NFTA_NAT_REG_PROTO_MIN, is_ipv4 ? NFT_REG32_01 : NFT_REG_2);
    });
  }

 private:
  template <class Fill>
  void put(std::string_view name, Fill&& fill) const {
    out.nest(NFTA_LIST_ELEM, [&](Message& expression) {
      expression.put_string(NFTA_EXPR_NAME, name);
      expression.nest(NFTA_EXPR_DATA, fill);
    });
  }
};

std::string address_mask(const Prefix& prefix) {
  std::string out(prefix.address.size(), '\0');
  for (unsigned bit = 0; bit < prefix.length; ++bit) {
    out[bit / 8] = static_cast<char>(out[bit / 8] | 0x80 >> (bit % 8));
  }
  return out;
}

}  // namespace

void append_nft_userdata(std::string& out, std::uint8_t type, std::string_view value) {
  out.push_back(static_cast<char>(type));
  out.push_back(static_cast<char>(value.size()));
  out += value;
}

std::string nft_comment_userdata(std::string_view comment, std::uint8_t type) {
  std::string out;
  if (!comment.empty()) append_nft_userdata(out, type, cat(nft_comment(comment), '\0'));
  return out;
}

void put_nft_verdict(Message& message, const NftVerdict& verdict) {
  constexpr std::array<std::int32_t, 5> kCodes = {NF_ACCEPT, NF_DROP, NFT_RETURN, NFT_JUMP,
                                                  NFT_GOTO};
  message.nest(NFTA_DATA_VERDICT, [&](Message& nested) {
    const std::int32_t code = kCodes[static_cast<std::size_t>(verdict.kind)];
    nested.put_be32(NFTA_VERDICT_CODE, static_cast<std::uint32_t>(code));
    if (!verdict.chain.empty()) nested.put_string(NFTA_VERDICT_CHAIN, verdict.chain);
  });
}

void put_nft_value(Message& message, int type, std::string_view value) {
  message.nest(type,
               [&](Message& nested) { nested.put(NFTA_DATA_VALUE, value.data(), value.size()); });
}

Message nft_rule_message(const NftTable& table, std::string_view chain, const NftRule& rule,
                         int position_flag) {
  Message out = nft_message(table.family, NFT_MSG_NEWRULE, NLM_F_CREATE | position_flag);
  out.put_string(NFTA_RULE_TABLE, table.name).put_string(NFTA_RULE_CHAIN, chain);
  out.nest(NFTA_RULE_EXPRESSIONS, [&](Message& list) {
    for (const NftExpression& expression : rule.expressions) std::visit(Encoder{list}, expression);
  });
  const std::string userdata = nft_comment_userdata(rule.comment);
  if (!userdata.empty()) out.put(NFTA_RULE_USERDATA, userdata.data(), userdata.size());
  return out;
}

std::vector<NftExpression> nft_match_address(NftField field, const Prefix& network, bool equal) {
  const Ip address = network.network().address;
  std::vector<NftExpression> out = {NftLoad{field}};
  if (network.length < address.width()) out.emplace_back(NftMask{address_mask(network)});
  out.emplace_back(NftCompare{
      std::string(reinterpret_cast<const char*>(address.data()), address.size()), equal});
  return out;
}

std::vector<NftExpression> nft_match_network(NftField field, const Prefix& network, bool equal) {
  const char family = network.address.is_ipv4() ? NFPROTO_IPV4 : NFPROTO_IPV6;
  std::vector<NftExpression> out = {NftLoad{NftField::kNfproto}, NftCompare{{family}, true}};
  for (NftExpression& one : nft_match_address(field, network, equal)) out.push_back(std::move(one));
  return out;
}

std::string nft_number(std::uint32_t value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string nft_ifname(std::string_view name) {
  std::string out(name.substr(0, IFNAMSIZ - 1));
  out.resize(IFNAMSIZ, '\0');
  return out;
}

NftRule nft_rule(std::vector<std::vector<NftExpression>> parts, std::string comment) {
  NftRule out;
  for (std::vector<NftExpression>& part : parts) {
    for (NftExpression& expression : part) out.expressions.push_back(std::move(expression));
  }
  out.comment = std::move(comment);
  return out;
}

std::string nft_comment(std::string_view text) {
  if (text.size() <= kMaxComment) return std::string(text);
  constexpr std::size_t kDigits = 16;
  return cat(text.substr(0, kMaxComment - kDigits - 1), '-', hashed_name("", text, kDigits));
}

}  // namespace cni::netfilter
