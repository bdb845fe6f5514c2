#include "pkg/netfilter/port_map_layout.hpp"

#include <linux/netfilter.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <utility>

#include "pkg/types/error.hpp"

namespace cni::netfilter::published {
namespace {

constexpr std::string_view kPublished = "published";
constexpr std::string_view kMasquerade = "published_masquerade";
constexpr std::string_view kPrerouting = "published_prerouting";
constexpr std::string_view kOutput = "published_output";
constexpr std::string_view kPostrouting = "published_postrouting";

// Its four rules, and the jumps from kPrerouting and kOutput.
constexpr std::uint32_t kPublishedUse = 6;

// Right behind NF_IP_PRI_NAT_DST, at which everybody else translates: whoever has something more
// particular to say of a connection, as service proxies do, says it first.
constexpr std::int32_t kDestinationPriority = -99;
constexpr std::int32_t kSourcePriority = 100;  // NF_IP_PRI_NAT_SRC

// IPS_DST_NAT of linux/netfilter/nf_conntrack_common.h, which cannot be included together with what
// libnl's users include.
constexpr std::uint32_t kDestinationTranslated = 1U << 5;

NftType address_type(Family family) {
  return family == Family::kIpv4 ? NftType::kIpv4Address : NftType::kIpv6Address;
}

// Registers that an address of the family fills.
std::uint32_t registers_of_address(Family family) { return family == Family::kIpv4 ? 1 : 4; }

NftField source_field(Family family) {
  return family == Family::kIpv4 ? NftField::kIpv4Source : NftField::kIpv6Source;
}

NftField destination_field(Family family) {
  return family == Family::kIpv4 ? NftField::kIpv4Destination : NftField::kIpv6Destination;
}

NftSet within_set(const Prefix& target) {
  const NftType type = address_type(target.address.family());
  if (is_lone(target)) {
    return {within_name(target),
            {type, type},
            {},
            false,
            "Containers without a subnet and themselves, which are masqueraded towards themselves"};
  }
  return {within_name(target),
          {type},
          {},
          false,
          cat("Containers to which ", target.network().to_string(), " is masqueraded")};
}

// `ip saddr SUBNET ip daddr @SET masquerade`, or for lone addresses `ip saddr . ip daddr @SET
// masquerade`.
NftRule within_rule(const Prefix& target) {
  const Family family = target.address.family();
  const NftLookup lookup{within_name(target)};
  if (is_lone(target)) {
    const std::uint32_t second = kNftFirstSmallRegister + registers_of_address(family);
    return nft_rule({{NftLoad{source_field(family), kNftFirstSmallRegister},
                      NftLoad{destination_field(family), second}, lookup, NftMasquerade{}}});
  }
  return nft_rule({nft_match_address(source_field(family), target.network(), true),
                   {NftLoad{destination_field(family)}, lookup, NftMasquerade{}}});
}

std::vector<NftType> port_key(Family family, bool with_address) {
  std::vector<NftType> out;
  if (with_address) out.push_back(address_type(family));
  out.push_back(NftType::kInetProtocol);
  out.push_back(NftType::kInetService);
  return out;
}

std::vector<NftSet> base_sets(Family family) {
  const std::vector<NftType> destination = {address_type(family), NftType::kInetService};
  return {
      {std::string(kPorts), port_key(family, false), destination, false,
       "Published ports and where their connections go"},
      {std::string(kAddressPorts), port_key(family, true), destination, false,
       "Ports published on one address of the host"},
      {std::string(kGuardedPorts),
       port_key(family, false),
       {},
       true,
       "Published ports that not everybody may use"},
      {std::string(kGuardedAddressPorts),
       port_key(family, true),
       {},
       true,
       "The same for ports of one address of the host"},
      {std::string(kFromLocalhost),
       {address_type(family)},
       {},
       false,
       "Containers to which the host's loopback addresses are masqueraded"},
      {std::string(kFromAnywhere),
       {address_type(family)},
       {},
       false,
       "Containers to which everybody is masqueraded"},
      {std::string(kOwners),
       {NftType::kIpv6Address},
       {NftType::kMark, NftType::kLinkIndex},
       false,
       "Attachments with published ports, and how many"},
  };
}

// Looks up protocol and port of the packet, behind its destination if asked.
NftRule port_rule(Family family, bool with_address, const NftLookup& lookup) {
  std::uint32_t next = kNftFirstSmallRegister;
  NftRule rule;
  if (with_address) {
    rule.expressions.emplace_back(NftLoad{destination_field(family), next});
    next += registers_of_address(family);
  }
  rule.expressions.emplace_back(NftLoad{NftField::kL4Protocol, next});
  rule.expressions.emplace_back(NftLoad{NftField::kDestinationPort, next + 1});
  rule.expressions.emplace_back(lookup);
  if (lookup.result == NftLookup::Result::kData) {
    rule.expressions.emplace_back(NftDestinationNat{family});
  }
  return rule;
}

// What was published on one address comes first. Before each map the guards of what is in it.
void add_published_rules(NftTransaction& transaction, Family family) {
  using Result = NftLookup::Result;
  const std::array<std::pair<bool, NftLookup>, 4> lookups = {{
      {true, {std::string(kGuardedAddressPorts), Result::kVerdict}},
      {true, {std::string(kAddressPorts), Result::kData}},
      {false, {std::string(kGuardedPorts), Result::kVerdict}},
      {false, {std::string(kPorts), Result::kData}},
  }};
  for (const auto& [with_address, lookup] : lookups) {
    transaction.append_rule(kPublished, port_rule(family, with_address, lookup));
  }
}

NftRule entry_rule() {
  return nft_rule({{NftDestinationType{}, NftCompare{nft_number(RTN_LOCAL)},
                    NftVerdict{NftVerdict::Kind::kJump, std::string(kPublished)}}});
}

NftRule postrouting_rule() {
  return nft_rule({{NftConnection{NftConnection::Key::kStatus},
                    NftMask{nft_number(kDestinationTranslated)}, NftCompare{nft_number(0), false},
                    NftVerdict{NftVerdict::Kind::kJump, std::string(kMasquerade)}}});
}

// `ip daddr @published_from_anywhere masquerade`.
NftRule from_anywhere_rule(Family family) {
  return nft_rule({{NftLoad{destination_field(family)}, NftLookup{std::string(kFromAnywhere)},
                    NftMasquerade{}}});
}

NftRule from_localhost_rule(Family family) {
  const Prefix loopback = *Prefix::parse(family == Family::kIpv4 ? "127.0.0.0/8" : "::1/128");
  return nft_rule({nft_match_address(source_field(family), loopback, true),
                   {NftLoad{destination_field(family)}, NftLookup{std::string(kFromLocalhost)},
                    NftMasquerade{}}});
}

bool is_among(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Shared::Shared(netlink::Socket& socket, Family family)
    : socket_(socket),
      family_(family),
      masquerade_rules_(nft_list_rules(socket, table(family), kMasquerade)),
      has_published_(nft_chain_use(socket, table(family), kPublished).value_or(0) >= kPublishedUse),
      has_postrouting_(nft_chain_use(socket, table(family), kPostrouting).value_or(0) >= 1) {}

bool Shared::has_masquerade_rule(std::string_view set) const {
  return std::any_of(masquerade_rules_.begin(), masquerade_rules_.end(),
                     [&](const NftRuleInfo& rule) { return is_among(rule.sets, set); });
}

bool Shared::has_entries() const {
  return has_published_ && has_postrouting_ && has_masquerade_rule(kFromAnywhere) &&
         has_masquerade_rule(kFromLocalhost);
}

void Shared::add_base(NftTransaction& transaction) const {
  const std::vector<std::string> sets = nft_list_sets(socket_, table(family_), {});
  transaction.add_table("CNI portmap plugin");
  for (const NftSet& set : base_sets(family_)) {
    if (!is_among(sets, set.name)) transaction.add_set(set, NftCreate::kExclusive);
  }
  transaction.add_chain({std::string(kPublished), {}, "Connections to the host's own addresses"});
  transaction.add_chain(
      {std::string(kPrerouting), NftHook{"nat", NF_INET_PRE_ROUTING, kDestinationPriority}, {}});
  transaction.add_chain(
      {std::string(kOutput), NftHook{"nat", NF_INET_LOCAL_OUT, kDestinationPriority}, {}});
  transaction.add_chain({std::string(kMasquerade),
                         {},
                         "Connections to containers whose answers would not come back"});
  transaction.add_chain(
      {std::string(kPostrouting), NftHook{"nat", NF_INET_POST_ROUTING, kSourcePriority}, {}});
  if (!has_published_) {
    for (const std::string_view chain : {kPrerouting, kOutput, kPublished}) {
      transaction.flush_chain(chain);
    }
    add_published_rules(transaction, family_);
    for (const std::string_view chain : {kPrerouting, kOutput}) {
      transaction.append_rule(chain, entry_rule());
    }
  }
  if (!has_postrouting_) transaction.append_rule(kPostrouting, postrouting_rule());
  if (!has_masquerade_rule(kFromLocalhost)) {
    transaction.prepend_rule(kMasquerade, from_localhost_rule(family_));
  }
  if (!has_masquerade_rule(kFromAnywhere)) {
    transaction.prepend_rule(kMasquerade, from_anywhere_rule(family_));
  }
}

// Set and rule come into being together. If there is a set without its rule even when the rules
// are read after the set, then they have been flushed.
void Shared::add_hairpin(NftTransaction& transaction, const Prefix& target) const {
  const NftSet set = within_set(target);
  const bool is_there = is_among(nft_list_sets(socket_, table(family_), set.name), set.name);
  if (is_there) {
    const std::vector<NftRuleInfo> rules = nft_list_rules(socket_, table(family_), kMasquerade);
    const bool has_rule = std::any_of(rules.begin(), rules.end(), [&](const NftRuleInfo& rule) {
      return is_among(rule.sets, set.name);
    });
    if (has_rule) return;
  } else {
    transaction.add_set(set, NftCreate::kExclusive);
  }
  transaction.append_rule(kMasquerade, within_rule(target));
}

void Shared::add_missing(NftTransaction& transaction, const PortMapSpec& spec,
                         const Prefix& target) const {
  transaction.on(table(family_));
  if (!has_entries()) add_base(transaction);
  const bool has_hairpin = spec.snat && !spec.masquerade_all;
  if (has_hairpin && !has_masquerade_rule(within_name(target))) add_hairpin(transaction, target);
}

std::string Shared::describe_missing(const PortMapSpec& spec, const Prefix& target) const {
  const std::string where = table(family_).to_string();
  if (!has_published_) {
    return cat("rules of nftables chain ", where, ' ', kPublished, ", or those of ", kPrerouting,
               " and ", kOutput, " that jump to it, are missing");
  }
  for (const Placed& one : masquerade_elements_of(spec, target)) {
    if (!has_postrouting_) {
      return cat("nftables chain ", where, ' ', kPostrouting, " does not jump to ", kMasquerade);
    }
    if (!has_masquerade_rule(one.set)) {
      return cat("no rule of nftables chain ", where, ' ', kMasquerade, " looks up ", one.set);
    }
  }
  return {};
}

std::vector<std::string> element_sets(netlink::Socket& socket, Family family) {
  std::vector<std::string> out;
  for (std::string& name : nft_list_sets(socket, table(family), {})) {
    const bool is_ours = name.starts_with("published_") || name.starts_with("guarded_");
    if (is_ours) out.push_back(std::move(name));
  }
  return out;
}

}  // namespace cni::netfilter::published
