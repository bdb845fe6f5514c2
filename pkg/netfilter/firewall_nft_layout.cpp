#include "pkg/netfilter/firewall_nft_layout.hpp"

#include <linux/in6.h>
#include <linux/netfilter.h>

#include <algorithm>

#include "pkg/types/error.hpp"

namespace cni::netfilter::filtering {
namespace {

using netlink::Socket;

constexpr std::string_view kForward = "forward";
constexpr std::string_view kInput = "input";
constexpr std::string_view kPolicies = "policies";

// Before the filter chains of others, iptables' among them (priority 0): what is refused here is
// refused with an answer to the container, which a drop elsewhere would not give. The addresses
// have been translated by then.
constexpr std::int32_t kPriority = -10;
// NF_BR_FORWARD and NF_BR_PRI_FILTER_BRIDGED. <linux/netfilter_bridge.h>, which names them, cannot
// be included together with glibc's headers.
constexpr std::uint32_t kBridgeForward = 2;
constexpr std::int32_t kBridgePriority = -200;

// Bits of the connection's state: established and related.
constexpr std::uint32_t kAnswers = 2 | 4;

constexpr NftVerdict::Kind kAccept = NftVerdict::Kind::kAccept;
constexpr NftVerdict::Kind kDrop = NftVerdict::Kind::kDrop;

std::vector<NftExpression> verdict(NftVerdict::Kind kind, std::string_view chain = {}) {
  return {NftVerdict{kind, std::string(chain)}};
}

std::vector<NftExpression> lookup(NftField field, std::string_view set) {
  return {NftLoad{field}, NftLookup{std::string(set)}};
}

// `iifname . oifname @SET`
std::vector<NftExpression> lookup_interfaces(std::string_view set) {
  return {NftLoad{NftField::kIifname, 1}, NftLoad{NftField::kOifname, 2},
          NftLookup{std::string(set)}};
}

NftRule jump(std::string_view chain, std::string_view comment) {
  return nft_rule({verdict(NftVerdict::Kind::kJump, chain)}, std::string(comment));
}

SharedChain policies_chain() {
  NftChain chain{std::string(kPolicies), {}, "What may come to containers of other bridges"};
  return {std::move(chain),
          {nft_rule({lookup_interfaces(kIsolatedBridges), verdict(kDrop)}, "isolated"),
           nft_rule({lookup_interfaces(kWithinBridge), verdict(NftVerdict::Kind::kReturn)},
                    "same bridge"),
           nft_rule({lookup(NftField::kIifname, kBridges), lookup(NftField::kOifname, kBridges),
                     verdict(kDrop)},
                    "other bridges")}};
}

// What follows the policies: `ct state established,related ip daddr @SET accept` and
// `ip saddr @SET accept`.
void append_accepting(std::vector<NftRule>& rules, Family family) {
  const NftLookup containers{std::string(containers_set(family))};
  const std::vector<NftExpression> is_answer = {NftConnection{}, NftMask{nft_number(kAnswers)},
                                                NftCompare{nft_number(0), false}};
  rules.push_back(nft_rule({is_answer, load_destination(family), {containers}, verdict(kAccept)},
                           cat("answers to containers, ", suffix(family))));
  rules.push_back(nft_rule({load_source(family), {containers}, verdict(kAccept)},
                           cat("from containers, ", suffix(family))));
}

SharedChain forward_chain() {
  SharedChain out{{std::string(kForward), NftHook{"filter", NF_INET_FORWARD, kPriority}, {}},
                  {jump(kAdminChain, "the operator's rules"), jump(kPolicies, "ingress policies"),
                   jump(kEgressChain, "egress rules")}};
  append_accepting(out.rules, Family::kIpv4);
  append_accepting(out.rules, Family::kIpv6);
  return out;
}

SharedChain egress_chain() {
  return {{std::string(kEgressChain), {}, "Where the containers of some networks may not send to"},
          {}};
}

NftSet set(std::string_view name, std::vector<NftType> key, std::string_view comment) {
  NftSet out;
  out.name = name;
  out.key = std::move(key);
  out.comment = comment;
  return out;
}

bool has_comment(const std::vector<NftRuleInfo>& rules, std::string_view comment) {
  return std::any_of(rules.begin(), rules.end(),
                     [&](const NftRuleInfo& rule) { return rule.comment == comment; });
}

// Null if none is missing.
const NftRule* first_missing(Socket& socket, const NftTable& where, const SharedChain& chain) {
  if (chain.rules.empty()) return nullptr;
  const std::vector<NftRuleInfo> found = nft_list_rules(socket, where, chain.chain.name);
  const auto missing =
      std::find_if(chain.rules.begin(), chain.rules.end(),
                   [&](const NftRule& rule) { return !has_comment(found, rule.comment); });
  return missing == chain.rules.end() ? nullptr : &*missing;
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

NftTable table() { return {NftFamily::kInet, "cni_firewall"}; }
NftTable bridge_table() { return {NftFamily::kBridge, "cni_firewall"}; }

std::string_view suffix(Family family) { return family == Family::kIpv4 ? "ipv4" : "ipv6"; }

std::string_view containers_set(Family family) {
  return family == Family::kIpv4 ? "containers_ipv4" : "containers_ipv6";
}

std::vector<NftExpression> load_source(Family family) {
  const bool is_ipv4 = family == Family::kIpv4;
  return {NftLoad{NftField::kNfproto},
          NftCompare{{is_ipv4 ? char{NFPROTO_IPV4} : char{NFPROTO_IPV6}}, true},
          NftLoad{is_ipv4 ? NftField::kIpv4Source : NftField::kIpv6Source}};
}

std::vector<NftExpression> load_destination(Family family) {
  const bool is_ipv4 = family == Family::kIpv4;
  return {NftLoad{NftField::kNfproto},
          NftCompare{{is_ipv4 ? char{NFPROTO_IPV4} : char{NFPROTO_IPV6}}, true},
          NftLoad{is_ipv4 ? NftField::kIpv4Destination : NftField::kIpv6Destination}};
}

SharedPart forward_part() {
  SharedPart out{table(), {}, {}};
  NftSet attachments = set(kAttachments, {NftType::kIfname}, "Attachments and their elements");
  attachments.data = {NftType::kMark};
  NftSet holders = set(kHolders, {NftType::kIfname}, "Who needs the empty chains of this table");
  holders.is_verdict_map = true;
  out.sets = {
      set(containers_set(Family::kIpv4), {NftType::kIpv4Address}, "Containers"),
      set(containers_set(Family::kIpv6), {NftType::kIpv6Address}, "Containers"),
      std::move(attachments),
      std::move(holders),
      set(kBridges, {NftType::kIfname}, "Bridges with an ingress policy"),
      set(kWithinBridge, {NftType::kIfname, NftType::kIfname}, "The same bridge"),
      set(kIsolatedBridges, {NftType::kIfname, NftType::kIfname}, "The same bridge, if isolated"),
  };
  out.chains = {{{std::string(kAdminChain), {}, "Yours: rules that come before all others"}, {}},
                policies_chain(),
                egress_chain(),
                forward_chain()};
  return out;
}

SharedPart input_part() {
  // Neighbours find each other by ICMPv6.
  const std::vector<NftExpression> is_icmpv6 = {NftLoad{NftField::kL4Protocol},
                                                NftCompare{{char{IPPROTO_ICMPV6}}, true}};
  SharedPart out{table(), {}, {}};
  out.chains = {egress_chain(),
                {{std::string(kInput), NftHook{"filter", NF_INET_LOCAL_IN, kPriority}, {}},
                 {nft_rule({is_icmpv6, verdict(kAccept)}, "neighbour discovery"),
                  jump(kEgressChain, "egress rules to the host itself")}}};
  return out;
}

SharedPart bridge_part() {
  SharedPart out{bridge_table(), {}, {}};
  out.sets = {set(kIsolatedPorts, {NftType::kIfname}, "Bridge ports of isolated containers")};
  out.chains = {{{std::string(kForward), NftHook{"filter", kBridgeForward, kBridgePriority}, {}},
                 {nft_rule({lookup(NftField::kIifname, kIsolatedPorts),
                            lookup(NftField::kOifname, kIsolatedPorts), verdict(kDrop)},
                           "isolated")}}};
  return out;
}

void add_missing(Socket& socket, NftTransaction& transaction, const SharedPart& part,
                 bool is_thorough) {
  std::vector<const SharedChain*> broken;
  for (const SharedChain& chain : part.chains) {
    if (first_missing(socket, part.table, chain) != nullptr) broken.push_back(&chain);
  }
  if (broken.empty() && !is_thorough) return;
  transaction.on(part.table);
  if (!broken.empty()) {
    transaction.add_table("Firewall for containers, of CNI plugins");
    for (const SharedChain& chain : part.chains) {
      // One that is there may have another policy by now, which this would take back.
      if (!nft_chain_use(socket, part.table, chain.chain.name)) transaction.add_chain(chain.chain);
    }
  }
  const std::vector<std::string> sets = nft_list_sets(socket, part.table, {});
  for (const NftSet& wanted : part.sets) {
    if (!contains(sets, wanted.name)) transaction.add_set(wanted, NftCreate::kExclusive);
  }
  for (const SharedChain* chain : broken) {
    transaction.flush_chain(chain->chain.name);
    for (const NftRule& rule : chain->rules) transaction.append_rule(chain->chain.name, rule);
  }
}

std::string describe_missing(Socket& socket, const SharedPart& part) {
  const std::string place = part.table.to_string();
  if (!nft_table_exists(socket, part.table)) return cat("nftables table ", place, " is missing");
  for (const SharedChain& chain : part.chains) {
    const std::string name = cat(place, ' ', chain.chain.name);
    if (!nft_chain_use(socket, part.table, chain.chain.name)) {
      return cat("nftables chain ", name, " is missing");
    }
    if (const NftRule* rule = first_missing(socket, part.table, chain)) {
      return cat("nftables chain ", name, " has no rule ", quote(rule->comment));
    }
  }
  const std::vector<std::string> sets = nft_list_sets(socket, part.table, {});
  for (const NftSet& wanted : part.sets) {
    if (!contains(sets, wanted.name)) {
      return cat("nftables set ", place, ' ', wanted.name, " is missing");
    }
  }
  return {};
}

}  // namespace cni::netfilter::filtering
