#include "pkg/netfilter/port_map_layout.hpp"

#include <linux/netfilter.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "pkg/netfilter/port_map_guard.hpp"
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

// In the data of kOwners, beside the number of ports.
constexpr std::uint32_t kHasGuards = 1U << 31;
// Protocol and port, each in four octets.
constexpr std::size_t kPortKeyLength = 8;

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

bool is_single(const Prefix& target) { return target.length == target.address.width(); }

std::string within_name(const Prefix& target) {
  if (is_single(target)) return cat(kWithinPrefix, "hosts");
  std::string name = cat(kWithinPrefix, target.network().to_string());
  std::replace(name.begin(), name.end(), ':', '-');
  return name;
}

NftSet within_set(const Prefix& target) {
  const NftType type = address_type(target.address.family());
  if (is_single(target)) {
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
  if (is_single(target)) {
    const std::uint32_t second = kNftFirstSmallRegister + registers_of_address(family);
    return nft_rule({{NftLoad{source_field(family), kNftFirstSmallRegister},
                      NftLoad{destination_field(family), second}, lookup, NftMasquerade{}}});
  }
  return nft_rule({nft_match_address(source_field(family), target.network(), true),
                   {NftLoad{destination_field(family)}, lookup, NftMasquerade{}}});
}

std::string within_key(const Prefix& target) {
  NftKey key;
  if (is_single(target)) key.ip(target.address);
  return key.ip(target.address).take();
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
       {NftType::kMark},
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

std::vector<std::uint8_t> octets_of_hex(std::string_view digits) {
  std::vector<std::uint8_t> out;
  const auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    out.push_back(static_cast<std::uint8_t>(value(digits[i]) << 4 | value(digits[i + 1])));
  }
  return out;
}

bool is_among(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::uint16_t port_in(std::string_view key) {
  return static_cast<std::uint16_t>(static_cast<std::uint8_t>(key[4]) << 8 |
                                    static_cast<std::uint8_t>(key[5]));
}

std::string holding_of(const PortMapSpec& spec, Family family) {
  const auto count = static_cast<std::uint32_t>(mappings_of(spec, family).size());
  return nft_number(count | (has_guards(spec, family) ? kHasGuards : 0));
}

// 127.0.0.1 reaches what is published on all addresses, or on a loopback one.
bool is_for_localhost(const PortMapping& mapping) {
  const auto address = destination_of(mapping);
  return !address || address->is_loopback();
}

}  // namespace

NftTable table(Family family) {
  return {family == Family::kIpv4 ? NftFamily::kIpv4 : NftFamily::kIpv6, "cni_hostport"};
}

std::string_view map_of(const PortMapping& mapping) {
  return destination_of(mapping) ? kAddressPorts : kPorts;
}

std::string_view guarded_map_of(const PortMapping& mapping) {
  return destination_of(mapping) ? kGuardedAddressPorts : kGuardedPorts;
}

std::string key_of(const PortMapping& mapping) {
  NftKey key;
  if (const auto address = destination_of(mapping)) key.ip(*address);
  return key.protocol(static_cast<std::uint8_t>(mapping.transport)).port(mapping.host_port).take();
}

bool leads_to(const NftElement& element, const Ip& target) {
  return element.data.size() >= target.size() &&
         std::memcmp(element.data.data(), target.data(), target.size()) == 0;
}

Holding holding_in(const NftElement& owner) {
  std::uint32_t value = 0;
  std::memcpy(&value, owner.data.data(), std::min(owner.data.size(), sizeof value));
  return {value & ~kHasGuards, (value & kHasGuards) != 0};
}

std::string owner_key(const Owner& owner) {
  // 16 digits, "-" and 16 digits.
  std::string digits = owner_id(owner);
  std::erase(digits, '-');
  const std::vector<std::uint8_t> octets = octets_of_hex(digits);
  return std::string(octets.begin(), octets.end());
}

std::vector<Placed> masquerade_elements_of(const PortMapSpec& spec, const Prefix& target) {
  const std::string address = NftKey().ip(target.address).take();
  const std::string comment = owner_comment(spec.owner);
  const std::vector<PortMapping> mappings = mappings_of(spec, target.address.family());
  std::vector<Placed> out;
  if (spec.masquerade_all) out.push_back({std::string(kFromAnywhere), {address, {}, {}, comment}});
  if (!spec.snat || spec.masquerade_all) return out;
  out.push_back({within_name(target), {within_key(target), {}, {}, comment}});
  if (std::any_of(mappings.begin(), mappings.end(), is_for_localhost)) {
    out.push_back({std::string(kFromLocalhost), {address, {}, {}, comment}});
  }
  return out;
}

std::vector<Placed> masquerade_places(const Prefix& target) {
  const std::string address = NftKey().ip(target.address).take();
  return {{std::string(kFromAnywhere), {address, {}, {}, {}}},
          {std::string(kFromLocalhost), {address, {}, {}, {}}},
          {within_name(target), {within_key(target), {}, {}, {}}}};
}

std::vector<Placed> places_of(const PortMapSpec& spec, const Prefix& target) {
  std::vector<Placed> out = elements_of(spec, target);
  std::erase_if(out,
                [](const Placed& one) { return one.set != kOwners && one.element.data.empty(); });
  for (Placed& one : masquerade_places(target)) out.push_back(std::move(one));
  return out;
}

std::string describe(const Placed& place, Family family) {
  if (place.set == kOwners) return "the attachment";
  const std::size_t length = family == Family::kIpv4 ? 4 : 16;
  std::string_view key = place.element.key;
  std::string address;
  if (place.set != kPorts && place.set != kGuardedPorts) {
    const auto ip = Ip::from_bytes(key.data(), std::min(length, key.size()));
    if (ip) address = ip->to_string();
    key.remove_prefix(std::min(length, key.size()));
  }
  if (key.size() != kPortKeyLength) return address;
  const auto transport = static_cast<Transport>(key[0]);
  return cat(to_string(transport), ' ', address, address.empty() ? "" : " port ", port_in(key));
}

std::optional<UdpDestination> udp_destination(const Placed& place, Family family) {
  const bool has_address = place.set == kAddressPorts;
  if (!has_address && place.set != kPorts) return std::nullopt;
  const std::size_t length = !has_address ? 0 : family == Family::kIpv4 ? 4 : 16;
  std::string_view key = place.element.key;
  if (key.size() != length + kPortKeyLength) return std::nullopt;
  UdpDestination out{family, port_in(key.substr(length)), std::nullopt};
  if (static_cast<Transport>(key[length]) != Transport::kUdp) return std::nullopt;
  if (has_address) out.address = Ip::from_bytes(key.data(), length);
  return out;
}

std::vector<Placed> elements_of(const PortMapSpec& spec, const Prefix& target) {
  const Family family = target.address.family();
  const std::string comment = owner_comment(spec.owner);
  const std::vector<PortMapping> mappings = mappings_of(spec, family);
  if (mappings.empty()) return {};

  std::vector<Placed> out = {
      {std::string(kOwners), {owner_key(spec.owner), holding_of(spec, family), {}, comment}}};
  for (const std::string_view map : {kPorts, kAddressPorts}) {
    for (const PortMapping& mapping : mappings) {
      if (map_of(mapping) != map) continue;
      std::string where = NftKey().ip(target.address).port(mapping.container_port).take();
      out.push_back({std::string(map), {key_of(mapping), std::move(where), {}, comment}});
    }
  }
  for (Placed& one : masquerade_elements_of(spec, target)) out.push_back(std::move(one));
  return out;
}

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
