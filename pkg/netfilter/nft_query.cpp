// Reading what nf_tables holds.
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "pkg/netfilter/nft.hpp"
#include "pkg/netfilter/nft_wire.hpp"
#include "pkg/netlink/message.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {

using netlink::Attributes;
using netlink::Message;

namespace {

// Calls fn for each attribute of a list.
template <class Fn>
void for_each(const nlattr* list, Fn&& fn) {
  if (list == nullptr) return;
  netlink::for_each_attribute(netlink::payload_of(list), fn);
}

// The comment in userdata: a sequence of type, length, value.
std::string comment_in(std::string_view userdata) {
  while (userdata.size() >= 2) {
    const auto type = static_cast<std::uint8_t>(userdata[0]);
    const std::size_t length = static_cast<std::uint8_t>(userdata[1]);
    userdata.remove_prefix(2);
    const std::string_view value = userdata.substr(0, length);
    if (type == kUserdataComment) return std::string(value.substr(0, value.find('\0')));
    userdata.remove_prefix(value.size());
  }
  return {};
}

bool is_field(const Attributes& payload, NftField field) {
  const WireField& wire = wire_field(field);
  return payload.be32(NFTA_PAYLOAD_BASE, 99) == wire.key_or_base &&
         payload.be32(NFTA_PAYLOAD_OFFSET) == wire.offset &&
         payload.be32(NFTA_PAYLOAD_LEN) <= wire.length;
}

// Collects what a rule's expressions say, in their order.
class RuleReader {
 public:
  RuleReader(Family family, NftRuleInfo& out) : family_(family), out_(out) {}

  void read(const nlattr* expression) {
    const Attributes parts(expression, NFTA_EXPR_MAX);
    const std::string name = parts.text(NFTA_EXPR_NAME);
    const nlattr* data = parts[NFTA_EXPR_DATA];
    if (name == "meta") {
      read_meta(Attributes(data, NFTA_META_MAX));
    } else if (name == "payload") {
      read_payload(Attributes(data, NFTA_PAYLOAD_MAX));
    } else if (name == "cmp") {
      read_compare(Attributes(data, NFTA_CMP_MAX));
    } else if (name == "lookup") {
      out_.sets.push_back(Attributes(data, NFTA_LOOKUP_MAX).text(NFTA_LOOKUP_SET));
    } else if (name == "immediate") {
      const Attributes immediate(data, NFTA_IMMEDIATE_MAX);
      const auto verdict = nft_verdict_in(immediate.nested(NFTA_IMMEDIATE_DATA, NFTA_DATA_MAX));
      if (verdict) out_.target = verdict->chain;
    } else if (name == "match") {
      read_iptables_match(Attributes(data, NFTA_MATCH_MAX), out_);
    } else if (name == "target") {
      read_iptables_target(Attributes(data, NFTA_TARGET_MAX), family_, out_);
    }
  }

  // To be called behind the last one.
  void finish() {
    if (protocol_.size() == 1) out_.protocol = static_cast<std::uint8_t>(protocol_[0]);
    if (std::uint32_t mark = 0; mark_.size() == sizeof mark) {
      std::memcpy(&mark, mark_.data(), sizeof mark);
      out_.mark = mark;
    }
    if (port_.size() != 2) return;
    const auto high = static_cast<std::uint8_t>(port_[0]);
    const auto low = static_cast<std::uint8_t>(port_[1]);
    out_.ports.push_back(static_cast<std::uint16_t>(high << 8 | low));
  }

 private:
  void read_meta(const Attributes& meta) {
    const std::uint32_t key = meta.be32(NFTA_META_KEY);
    loaded_ = nullptr;
    if (key == NFT_META_IIFNAME) loaded_ = &out_.iifname;
    if (key == NFT_META_L4PROTO) loaded_ = &protocol_;
    if (key == NFT_META_MARK) loaded_ = &mark_;
  }

  void read_payload(const Attributes& payload) {
    const auto is_any = [&](NftField ipv4, NftField ipv6) {
      return is_field(payload, ipv4) || is_field(payload, ipv6);
    };
    loaded_ = nullptr;
    if (is_any(NftField::kIpv4Source, NftField::kIpv6Source)) loaded_ = &out_.source;
    if (is_any(NftField::kIpv4Destination, NftField::kIpv6Destination)) {
      loaded_ = &out_.destination;
    }
    if (is_field(payload, NftField::kDestinationPort)) loaded_ = &port_;
  }

  void read_compare(const Attributes& compare) {
    const Attributes data = compare.nested(NFTA_CMP_DATA, NFTA_DATA_MAX);
    const std::string_view value = data.bytes(NFTA_DATA_VALUE);
    out_.values.emplace_back(value);
    if (loaded_ != nullptr && compare.be32(NFTA_CMP_OP, NFT_CMP_NEQ) == NFT_CMP_EQ) {
      // Interface names are compared with their padding.
      *loaded_ = loaded_ == &out_.iifname ? value.substr(0, value.find('\0')) : value;
    }
    loaded_ = nullptr;
  }

  Family family_;
  NftRuleInfo& out_;
  std::string protocol_;
  std::string port_;
  std::string mark_;
  std::string* loaded_ = nullptr;  // where the value of the next comparison belongs
};

// Addresses within iptables' extensions are of the family.
NftRuleInfo rule_in(const Attributes& rule, const NftTable& table) {
  const Family family = table.family == NftFamily::kIpv6 ? Family::kIpv6 : Family::kIpv4;
  NftRuleInfo out;
  out.handle = rule.be64(NFTA_RULE_HANDLE);
  out.comment = comment_in(rule.bytes(NFTA_RULE_USERDATA));
  RuleReader reader(family, out);
  for_each(rule[NFTA_RULE_EXPRESSIONS], [&](const nlattr* item) { reader.read(item); });
  reader.finish();
  return out;
}

void read_elements(const nlmsghdr* reply, std::vector<NftElement>& out) {
  const Attributes list(reply, sizeof(nfgenmsg), NFTA_SET_ELEM_LIST_MAX);
  for_each(list[NFTA_SET_ELEM_LIST_ELEMENTS], [&](const nlattr* item) {
    const Attributes element(item, NFTA_SET_ELEM_MAX);
    const Attributes data = element.nested(NFTA_SET_ELEM_DATA, NFTA_DATA_MAX);
    NftElement found;
    found.key_end = element.nested(NFTA_SET_ELEM_KEY_END, NFTA_DATA_MAX).bytes(NFTA_DATA_VALUE);
    found.key = element.nested(NFTA_SET_ELEM_KEY, NFTA_DATA_MAX).bytes(NFTA_DATA_VALUE);
    found.data = data.bytes(NFTA_DATA_VALUE);
    found.verdict = nft_verdict_in(data);
    found.comment = comment_in(element.bytes(NFTA_SET_ELEM_USERDATA));
    out.push_back(std::move(found));
  });
}

// Sends a request for one object; false if it, or what holds it, is absent.
bool get_if_there(netlink::Socket& socket, Message& message, std::string_view operation,
                  const netlink::Socket::OnMessage& on_reply) {
  try {
    socket.get(message, operation, on_reply);
    return true;
  } catch (const Error& error) {
    if (error.sys_errno != ENOENT) throw;
    return false;
  }
}

void dump_if_there(netlink::Socket& socket, Message& message, std::string_view operation,
                   const netlink::Socket::OnMessage& on_message,
                   const std::function<void()>& restart) {
  try {
    socket.dump(message, operation, on_message, restart);
  } catch (const Error& error) {
    if (error.sys_errno != ENOENT) throw;
    restart();
  }
}

// Names of the table's objects of one kind. Kernels that do not filter by table send those of all.
struct NameQuery {
  int type;
  int table_attribute;
  int name_attribute;
  int max_attribute;
  std::string_view noun;
};

std::vector<std::string> list_names(netlink::Socket& socket, const NftTable& table,
                                    std::string_view prefix, const NameQuery& query) {
  Message message = nft_message(table.family, query.type, NLM_F_DUMP);
  message.put_string(query.table_attribute, table.name);
  std::vector<std::string> out;
  dump_if_there(
      socket, message, cat("list the ", query.noun, " of nftables table ", table.to_string()),
      [&](const nlmsghdr* reply) {
        const Attributes object(reply, sizeof(nfgenmsg), query.max_attribute);
        if (object.text(query.table_attribute) != table.name) return;
        std::string name = object.text(query.name_attribute);
        if (name.starts_with(prefix)) out.push_back(std::move(name));
      },
      [&] { out.clear(); });
  return out;
}

Message element_request(const NftTable& table, std::string_view set, int flags) {
  Message out = nft_message(table.family, NFT_MSG_GETSETELEM, flags);
  out.put_string(NFTA_SET_ELEM_LIST_TABLE, table.name);
  out.put_string(NFTA_SET_ELEM_LIST_SET, set);
  return out;
}

// The rules of one chain, as they come.
struct RuleQuery {
  RuleQuery(const NftTable& asked_table, std::string_view asked_chain)
      : message(nft_message(asked_table.family, NFT_MSG_GETRULE, NLM_F_DUMP)),
        operation(cat("list nftables chain ", asked_table.to_string(), ' ', asked_chain)),
        table(asked_table.name),
        chain(asked_chain) {
    message.put_string(NFTA_RULE_TABLE, table).put_string(NFTA_RULE_CHAIN, chain);
  }

  template <class Fn>
  void visit(const nlmsghdr* reply, Fn&& fn) const {
    const Attributes rule(reply, sizeof(nfgenmsg), NFTA_RULE_MAX);
    // Kernels that do not filter send the rules of all chains.
    const bool is_asked =
        rule.text(NFTA_RULE_CHAIN) == chain && rule.text(NFTA_RULE_TABLE) == table;
    if (is_asked) fn(rule);
  }

  Message message;
  std::string operation;
  std::string table;
  std::string chain;
};

}  // namespace

std::optional<NftVerdict> nft_verdict_in(const Attributes& data) {
  if (!data.has(NFTA_DATA_VERDICT)) return std::nullopt;
  const Attributes verdict = data.nested(NFTA_DATA_VERDICT, NFTA_VERDICT_MAX);
  NftVerdict out;
  out.chain = verdict.text(NFTA_VERDICT_CHAIN);
  switch (static_cast<std::int32_t>(verdict.be32(NFTA_VERDICT_CODE))) {
    case NFT_JUMP:
      out.kind = NftVerdict::Kind::kJump;
      break;
    case NFT_GOTO:
      out.kind = NftVerdict::Kind::kGoto;
      break;
    case NFT_RETURN:
      out.kind = NftVerdict::Kind::kReturn;
      break;
    case 0:  // NF_DROP
      out.kind = NftVerdict::Kind::kDrop;
      break;
    default:
      out.kind = NftVerdict::Kind::kAccept;
      break;
  }
  return out;
}

const WireField& wire_field(NftField field) {
  static constexpr std::array<WireField, 10> kFields = {{
      {NFT_META_NFPROTO, 0, 0},
      {NFT_META_IIFNAME, 0, 0},
      {NFT_PAYLOAD_NETWORK_HEADER, 12, 4},
      {NFT_PAYLOAD_NETWORK_HEADER, 16, 4},
      {NFT_PAYLOAD_NETWORK_HEADER, 8, 16},
      {NFT_PAYLOAD_NETWORK_HEADER, 24, 16},
      {NFT_PAYLOAD_LL_HEADER, 6, 6},
      {NFT_META_OIFNAME, 0, 0},
      {NFT_META_L4PROTO, 0, 0},
      {NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2},
  }};
  return kFields.at(static_cast<std::size_t>(field));
}

bool nft_table_exists(netlink::Socket& socket, const NftTable& table) {
  Message message = nft_message(table.family, NFT_MSG_GETTABLE, 0);
  message.put_string(NFTA_TABLE_NAME, table.name);
  return get_if_there(socket, message, cat("look up nftables table ", table.to_string()), {});
}

std::optional<std::uint32_t> nft_chain_use(netlink::Socket& socket, const NftTable& table,
                                           std::string_view chain) {
  Message message = nft_message(table.family, NFT_MSG_GETCHAIN, 0);
  message.put_string(NFTA_CHAIN_TABLE, table.name).put_string(NFTA_CHAIN_NAME, chain);
  std::uint32_t use = 0;
  const bool found =
      get_if_there(socket, message, cat("look up nftables chain ", table.to_string(), ' ', chain),
                   [&](const nlmsghdr* reply) {
                     use = Attributes(reply, sizeof(nfgenmsg), NFTA_CHAIN_MAX).be32(NFTA_CHAIN_USE);
                   });
  return found ? std::optional(use) : std::nullopt;
}

std::vector<std::string> nft_list_chains(netlink::Socket& socket, const NftTable& table,
                                         std::string_view prefix) {
  return list_names(
      socket, table, prefix,
      {NFT_MSG_GETCHAIN, NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME, NFTA_CHAIN_MAX, "chains"});
}

std::vector<std::string> nft_list_sets(netlink::Socket& socket, const NftTable& table,
                                       std::string_view prefix) {
  return list_names(socket, table, prefix,
                    {NFT_MSG_GETSET, NFTA_SET_TABLE, NFTA_SET_NAME, NFTA_SET_MAX, "sets"});
}

void nft_visit_rules(netlink::Socket& socket, const NftTable& table, std::string_view chain,
                     const std::function<void(const Attributes& rule)>& visit,
                     const std::function<void()>& restart) {
  RuleQuery query(table, chain);
  dump_if_there(
      socket, query.message, query.operation,
      [&](const nlmsghdr* reply) { query.visit(reply, visit); }, restart);
}

std::vector<NftRuleInfo> nft_list_rules(netlink::Socket& socket, const NftTable& table,
                                        std::string_view chain) {
  std::vector<NftRuleInfo> out;
  nft_visit_rules(
      socket, table, chain, [&](const Attributes& rule) { out.push_back(rule_in(rule, table)); },
      [&] { out.clear(); });
  return out;
}

NftRuleGlimpse nft_glimpse_rules(netlink::Socket& socket, const NftTable& table,
                                 std::string_view chain) {
  RuleQuery query(table, chain);
  NftRuleGlimpse out;
  const auto take = [&](const Attributes& rule) { out.rules.push_back(rule_in(rule, table)); };
  try {
    out.complete = socket.dump_once(query.message, query.operation,
                                    [&](const nlmsghdr* reply) { query.visit(reply, take); });
  } catch (const Error& error) {
    if (error.sys_errno != ENOENT) throw;
  }
  return out;
}

std::optional<NftElement> nft_find_element(netlink::Socket& socket, const NftTable& table,
                                           std::string_view set, std::string_view key) {
  Message message = element_request(table, set, 0);
  message.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&](Message& list) {
    list.nest(NFTA_LIST_ELEM, [&](Message& element) {
      element.nest(NFTA_SET_ELEM_KEY,
                   [&](Message& data) { data.put(NFTA_DATA_VALUE, key.data(), key.size()); });
    });
  });
  std::vector<NftElement> found;
  const bool is_there =
      get_if_there(socket, message, cat("look up an element of nftables set ", set),
                   [&](const nlmsghdr* reply) { read_elements(reply, found); });
  if (!is_there || found.empty()) return std::nullopt;
  return std::move(found[0]);
}

std::vector<NftElement> nft_list_elements(netlink::Socket& socket, const NftTable& table,
                                          std::string_view set) {
  Message message = element_request(table, set, NLM_F_DUMP);
  std::vector<NftElement> out;
  dump_if_there(
      socket, message, cat("list nftables set ", table.to_string(), ' ', set),
      [&](const nlmsghdr* reply) { read_elements(reply, out); }, [&] { out.clear(); });
  return out;
}

}  // namespace cni::netfilter
