#include "pkg/netfilter/iptables_rules.hpp"

// Before the kernel's headers, which leave out then what it has.
#include <netinet/in.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/xt_conntrack.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "pkg/netfilter/nft_wire.hpp"
#include "pkg/netlink/message.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {

using netlink::Attributes;

namespace {

constexpr std::string_view kEstablished = " -m conntrack --ctstate RELATED,ESTABLISHED";
// XT_CONNTRACK_STATE_BIT and NF_CT_STATE_BIT of IP_CT_ESTABLISHED and IP_CT_RELATED.
constexpr std::uint32_t kEstablishedBits = 2 | 4;

// Puts the expressions of one rule into iptables' words.
class RuleText {
 public:
  void read(const nlattr* expression) {
    const Attributes parts(expression, NFTA_EXPR_MAX);
    const std::string name = parts.text(NFTA_EXPR_NAME);
    const nlattr* data = parts[NFTA_EXPR_DATA];
    if (name == "meta") {
      read_meta(Attributes(data, NFTA_META_MAX));
    } else if (name == "payload") {
      read_payload(Attributes(data, NFTA_PAYLOAD_MAX));
    } else if (name == "ct") {
      read_connection(Attributes(data, NFTA_CT_MAX));
    } else if (name == "bitwise") {
      read_mask(Attributes(data, NFTA_BITWISE_MAX));
    } else if (name == "cmp") {
      read_compare(Attributes(data, NFTA_CMP_MAX));
    } else if (name == "match") {
      read_match(Attributes(data, NFTA_MATCH_MAX));
    } else if (name == "immediate") {
      read_verdict(Attributes(data, NFTA_IMMEDIATE_MAX));
    } else if (name != "counter") {
      add_unknown();
    }
  }

  std::string take() { return text_.empty() ? std::string() : text_.substr(1); }

 private:
  enum class Loaded { kUnknown, kInput, kOutput, kSource, kDestination, kState, kAnswers };

  void add_unknown() { text_ += " ?"; }

  void read_meta(const Attributes& meta) {
    const std::uint32_t key = meta.be32(NFTA_META_KEY);
    loaded_ = key == NFT_META_IIFNAME   ? Loaded::kInput
              : key == NFT_META_OIFNAME ? Loaded::kOutput
                                        : Loaded::kUnknown;
  }

  void read_payload(const Attributes& payload) {
    const auto is = [&](NftField field) {
      const WireField& wire = wire_field(field);
      return payload.be32(NFTA_PAYLOAD_BASE, 99) == wire.key_or_base &&
             payload.be32(NFTA_PAYLOAD_OFFSET) == wire.offset &&
             payload.be32(NFTA_PAYLOAD_LEN) == wire.length;
    };
    loaded_ = Loaded::kUnknown;
    if (is(NftField::kIpv4Source) || is(NftField::kIpv6Source)) loaded_ = Loaded::kSource;
    if (is(NftField::kIpv4Destination) || is(NftField::kIpv6Destination)) {
      loaded_ = Loaded::kDestination;
    }
  }

  void read_connection(const Attributes& connection) {
    const bool is_state = connection.be32(NFTA_CT_KEY, 99) == NFT_CT_STATE;
    loaded_ = is_state ? Loaded::kState : Loaded::kUnknown;
  }

  void read_mask(const Attributes& bitwise) {
    const std::string_view mask =
        bitwise.nested(NFTA_BITWISE_MASK, NFTA_DATA_MAX).bytes(NFTA_DATA_VALUE);
    const bool is_established = loaded_ == Loaded::kState && mask == nft_number(kEstablishedBits);
    loaded_ = is_established ? Loaded::kAnswers : Loaded::kUnknown;
  }

  void read_compare(const Attributes& compare) {
    const std::string_view value =
        compare.nested(NFTA_CMP_DATA, NFTA_DATA_MAX).bytes(NFTA_DATA_VALUE);
    const std::uint32_t operation = compare.be32(NFTA_CMP_OP, NFT_CMP_LT);
    const Loaded loaded = std::exchange(loaded_, Loaded::kUnknown);
    if (operation != NFT_CMP_EQ && operation != NFT_CMP_NEQ) return add_unknown();
    const bool equal = operation == NFT_CMP_EQ;
    switch (loaded) {
      case Loaded::kInput:
      case Loaded::kOutput:
        return add_interface(loaded == Loaded::kInput ? " -i " : " -o ", value, equal);
      case Loaded::kSource:
      case Loaded::kDestination:
        return add_address(loaded == Loaded::kSource ? " -s " : " -d ", value, equal);
      case Loaded::kAnswers:
        if (!equal && value == nft_number(0)) {
          text_ += kEstablished;
          return;
        }
        break;
      default:
        break;
    }
    add_unknown();
  }

  // A name without its NUL stands for all that begin like it.
  void add_interface(std::string_view option, std::string_view value, bool equal) {
    const std::size_t end = value.find('\0');
    text_ += cat(equal ? "" : " !", option, value.substr(0, end),
                 end == std::string_view::npos ? "+" : "");
  }

  void add_address(std::string_view option, std::string_view value, bool equal) {
    const auto address = Ip::from_bytes(value.data(), value.size());
    if (!address) return add_unknown();
    text_ += cat(equal ? "" : " !", option, Prefix::host(*address).to_string());
  }

  void read_match(const Attributes& match) {
    const std::string name = match.text(NFTA_MATCH_NAME);
    const std::string_view info = match.bytes(NFTA_MATCH_INFO);
    if (name == "comment") {
      text_ += cat(" -m comment --comment ", iptables_quoted(info.substr(0, info.find('\0'))));
    } else if (name == "conntrack" && is_established(match.be32(NFTA_MATCH_REV), info)) {
      text_ += kEstablished;
    } else {
      add_unknown();
    }
  }

  // Revision 3 is what iptables has used since Linux 2.6.39; 2 differs in what is behind.
  static bool is_established(std::uint32_t revision, std::string_view info) {
    xt_conntrack_mtinfo2 match{};
    if ((revision != 2 && revision != 3) || info.size() < sizeof match) return false;
    std::memcpy(&match, info.data(), sizeof match);
    return match.match_flags == XT_CONNTRACK_STATE && match.invert_flags == 0 &&
           match.state_mask == kEstablishedBits;
  }

  void read_verdict(const Attributes& immediate) {
    const auto verdict = nft_verdict_in(immediate.nested(NFTA_IMMEDIATE_DATA, NFTA_DATA_MAX));
    if (!verdict) return add_unknown();
    switch (verdict->kind) {
      case NftVerdict::Kind::kAccept:
        text_ += " -j ACCEPT";
        break;
      case NftVerdict::Kind::kDrop:
        text_ += " -j DROP";
        break;
      case NftVerdict::Kind::kReturn:
        text_ += " -j RETURN";
        break;
      case NftVerdict::Kind::kJump:
        text_ += cat(" -j ", verdict->chain);
        break;
      case NftVerdict::Kind::kGoto:
        text_ += cat(" -g ", verdict->chain);
        break;
    }
  }

  Loaded loaded_ = Loaded::kUnknown;  // what the next comparison is about
  std::string text_;
};

std::string text_of(const Attributes& rule) {
  RuleText out;
  if (const nlattr* list = rule[NFTA_RULE_EXPRESSIONS]) {
    netlink::for_each_attribute(netlink::payload_of(list),
                                [&](const nlattr* item) { out.read(item); });
  }
  return out.take();
}

// "-A CHAIN rest" or "-N CHAIN": what is behind the option, up to a space, and the rest.
std::pair<std::string_view, std::string_view> split(std::string_view line) {
  line.remove_prefix(3);
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) return {line, {}};
  return {line.substr(0, space), line.substr(space + 1)};
}

}  // namespace

NftTable iptables_nft_table(Family family, std::string_view table) {
  return {family == Family::kIpv4 ? NftFamily::kIpv4 : NftFamily::kIpv6, std::string(table)};
}

IptablesChains IptablesChains::over_netlink(netlink::Socket& socket, Family family,
                                            std::string_view table,
                                            std::span<const std::string> names) {
  const NftTable nft_table = iptables_nft_table(family, table);
  IptablesChains out;
  for (const std::string& name : names) {
    if (!nft_chain_use(socket, nft_table, name)) continue;
    std::vector<IptablesRule>& rules = out.chains_[name];
    nft_visit_rules(
        socket, nft_table, name,
        [&](const Attributes& rule) {
          rules.push_back({text_of(rule), rule.be64(NFTA_RULE_HANDLE)});
        },
        [&] { rules.clear(); });
  }
  return out;
}

IptablesChains IptablesChains::from_program(const Iptables& iptables, std::string_view table) {
  IptablesChains out;
  const os::Exit exit = iptables.run(table, {"-S"});
  if (!exit.ok()) return out;
  std::string_view rest = exit.out;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line.size() < 4) continue;
    const auto [chain, text] = split(line);
    std::vector<IptablesRule>& rules = out.chains_[std::string(chain)];
    if (line.starts_with("-A ")) rules.push_back({std::string(text), 0});
  }
  return out;
}

std::span<const IptablesRule> IptablesChains::rules(std::string_view chain) const {
  const auto found = chains_.find(chain);
  if (found == chains_.end()) return {};
  return found->second;
}

std::optional<std::size_t> IptablesChains::find(std::string_view chain,
                                                std::string_view text) const {
  const auto all = rules(chain);
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const IptablesRule& rule) { return rule.text == text; });
  if (found == all.end()) return std::nullopt;
  return static_cast<std::size_t>(found - all.begin());
}

}  // namespace cni::netfilter
