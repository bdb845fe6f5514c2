#include "pkg/netfilter/firewall_nft_egress.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "pkg/netfilter/firewall_nft_layout.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/hash.hpp"

namespace cni::netfilter::filtering {
namespace {

using netlink::Socket;

constexpr std::array<Family, 2> kFamilies = {Family::kIpv4, Family::kIpv6};
constexpr std::array<Transport, 3> kTransports = {Transport::kTcp, Transport::kUdp,
                                                  Transport::kSctp};
// What the second part of the destinations sets' names is.
constexpr std::string_view kAllowed = "allowed";
constexpr std::string_view kDenied = "denied";

struct PortRange {
  unsigned first = 0;
  unsigned last = 65535;

  bool operator==(const PortRange& other) const = default;
};

// Some ports of a network's hosts.
struct PortsOf {
  Prefix network;
  Transport transport = Transport::kTcp;
  PortRange ports;
};

std::string chain_name(std::string_view tag) { return cat(kEgressChain, '_', tag); }

// "egress_TAG_to_"
std::string destinations_prefix(std::string_view tag) { return cat(chain_name(tag), "_to_"); }

// "egress_TAG_to_denied_ports_ipv4"
std::string destinations_name(std::string_view tag, std::string_view word, bool has_ports,
                              Family family) {
  return cat(destinations_prefix(tag), word, has_ports ? "_ports_" : "_", suffix(family));
}

NftType address_type(Family family) {
  return family == Family::kIpv4 ? NftType::kIpv4Address : NftType::kIpv6Address;
}

// The kernel refuses elements that overlap. Networks are disjoint, or one is within the other: the
// wider ones come first, and of the others only what is not covered yet remains.
template <class Rule>
void sort_widest_first(std::vector<Rule>& rules) {
  std::stable_sort(rules.begin(), rules.end(), [](const Rule& left, const Rule& right) {
    return left.network.length < right.network.length;
  });
}

std::vector<PortRange> without(const std::vector<PortRange>& ranges, const PortRange& taken) {
  std::vector<PortRange> out;
  for (const PortRange& range : ranges) {
    if (taken.last < range.first || range.last < taken.first) {
      out.push_back(range);
      continue;
    }
    if (range.first < taken.first) out.push_back({range.first, taken.first - 1});
    if (taken.last < range.last) out.push_back({taken.last + 1, range.last});
  }
  return out;
}

std::vector<PortsOf> without_overlaps(std::vector<PortsOf> rules) {
  sort_widest_first(rules);
  std::vector<PortsOf> out;
  for (const PortsOf& rule : rules) {
    std::vector<PortRange> left = {rule.ports};
    for (const PortsOf& wider : out) {
      const bool may_cover =
          wider.transport == rule.transport && wider.network.contains(rule.network);
      if (may_cover) left = without(left, wider.ports);
    }
    for (const PortRange& ports : left) out.push_back({rule.network, rule.transport, ports});
  }
  return out;
}

std::vector<Prefix> without_overlaps(const std::vector<Prefix>& networks) {
  std::vector<Prefix> sorted = networks;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Prefix& left, const Prefix& right) {
    return left.length < right.length;
  });
  std::vector<Prefix> out;
  for (const Prefix& network : sorted) {
    const bool is_covered = std::any_of(
        out.begin(), out.end(), [&](const Prefix& wider) { return wider.contains(network); });
    if (!is_covered) out.push_back(network);
  }
  return out;
}

// What rules of one family say: of hosts, whatever is sent to them, and of their ports.
struct Sorted {
  std::vector<Prefix> hosts;
  std::vector<PortsOf> ports;
};

Sorted sorted_rules(const std::vector<EgressRule>& rules, Family family) {
  std::vector<Prefix> hosts;
  std::vector<PortsOf> ports;
  for (const EgressRule& rule : rules) {
    if (rule.network.address.family() != family) continue;
    if (!rule.transport && rule.first_port == 0) {
      hosts.push_back(rule.network.network());
      continue;
    }
    PortRange range;
    if (rule.first_port != 0) {
      range = {rule.first_port, std::max(rule.first_port, rule.last_port)};
    }
    for (const Transport transport : kTransports) {
      const bool is_meant = !rule.transport || *rule.transport == transport;
      if (is_meant) ports.push_back({rule.network.network(), transport, range});
    }
  }
  return {without_overlaps(hosts), without_overlaps(std::move(ports))};
}

NftElement host_element(const Prefix& network) {
  constexpr std::uint8_t kEveryProtocol = 255;
  NftElement out;
  out.key = NftKey().ip(network.address).protocol(0).take();
  out.key_end = NftKey().ip(network.last()).protocol(kEveryProtocol).take();
  return out;
}

NftElement ports_element(const PortsOf& rule) {
  const auto protocol = static_cast<std::uint8_t>(rule.transport);
  const auto port = [](unsigned number) { return static_cast<std::uint16_t>(number); };
  NftElement out;
  out.key =
      NftKey().ip(rule.network.address).protocol(protocol).port(port(rule.ports.first)).take();
  out.key_end =
      NftKey().ip(rule.network.last()).protocol(protocol).port(port(rule.ports.last)).take();
  return out;
}

// `ip daddr . meta l4proto @SET`, or with `. th dport`. Parts of a key stand one behind the other.
std::vector<NftExpression> lookup_destination(const NftSet& set, Family family) {
  const std::uint32_t protocol = kNftFirstSmallRegister + (family == Family::kIpv4 ? 1 : 4);
  std::vector<NftExpression> out = load_destination(family);
  out.emplace_back(NftLoad{NftField::kL4Protocol, protocol});
  if (set.key.size() > 2) out.emplace_back(NftLoad{NftField::kDestinationPort, protocol + 1});
  out.emplace_back(NftLookup{set.name});
  return out;
}

// Collects the sets and rules of one network.
class Planner {
 public:
  explicit Planner(const Owner& owner)
      : tag_(egress_tag(owner.network)), comment_(cat("net: ", owner.network)) {
    std::erase(comment_, '"');
  }

  void add(const std::vector<EgressRule>& rules, std::string_view word,
           const NftExpression& verdict) {
    for (const Family family : kFamilies) {
      const Sorted sorted = sorted_rules(rules, family);
      std::vector<NftElement> elements;
      for (const Prefix& network : sorted.hosts) elements.push_back(host_element(network));
      add_rule(word, family, false, std::move(elements), verdict);
      elements = {};
      for (const PortsOf& ports : sorted.ports) elements.push_back(ports_element(ports));
      add_rule(word, family, true, std::move(elements), verdict);
    }
  }

  // Answers of the container to who has connected to it are not held up, whatever is denied.
  EgressPlan take() {
    if (plan_.rules.empty()) return {};
    constexpr std::uint32_t kRelated = 4;
    const NftVerdict leave{NftVerdict::Kind::kReturn, {}};
    const std::vector<NftExpression> is_reply = {NftConnection{NftConnection::Key::kDirection},
                                                 NftCompare{{char{1}}, true}};
    const std::vector<NftExpression> is_related = {NftConnection{}, NftMask{nft_number(kRelated)},
                                                   NftCompare{nft_number(0), false}};
    plan_.rules.insert(plan_.rules.begin(), {nft_rule({is_reply, {leave}}, comment_),
                                             nft_rule({is_related, {leave}}, comment_)});
    return std::move(plan_);
  }

 private:
  void add_rule(std::string_view word, Family family, bool has_ports,
                std::vector<NftElement> elements, const NftExpression& verdict) {
    if (elements.empty()) return;
    NftSet set;
    set.name = destinations_name(tag_, word, has_ports, family);
    set.key = {address_type(family), NftType::kInetProtocol};
    if (has_ports) set.key.push_back(NftType::kInetService);
    set.comment = comment_;
    set.has_ranges = true;
    plan_.rules.push_back(nft_rule({lookup_destination(set, family), {verdict}}, comment_));
    plan_.destinations.push_back({std::move(set), std::move(elements)});
  }

  std::string tag_;
  std::string comment_;
  EgressPlan plan_;
};

NftSet sources_set(std::string_view tag, Family family, std::string_view network) {
  NftSet out;
  out.name = egress_sources_set(tag, family);
  out.key = {address_type(family)};
  out.comment = cat("Containers, net: ", network);
  std::erase(out.comment, '"');
  return out;
}

std::vector<NftRuleInfo> jumps_of(Socket& socket, std::string_view tag) {
  std::vector<NftRuleInfo> out = nft_list_rules(socket, table(), kEgressChain);
  std::erase_if(out, [&](const NftRuleInfo& rule) { return rule.target != chain_name(tag); });
  return out;
}

// The sets that the rules look up, one after the other: enough to tell one network's configuration
// from another, together with what is in them.
std::vector<std::string> sets_of(const EgressPlan& plan) {
  std::vector<std::string> out;
  for (const auto& one : plan.destinations) out.push_back(one.set.name);
  return out;
}

std::vector<std::string> sets_of(const std::vector<NftRuleInfo>& rules) {
  std::vector<std::string> out;
  for (const NftRuleInfo& rule : rules) out.insert(out.end(), rule.sets.begin(), rule.sets.end());
  return out;
}

// Both ends of each element, in an order that does not depend on where they come from.
std::vector<std::pair<std::string, std::string>> ends_of(const std::vector<NftElement>& elements) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const NftElement& element : elements) out.emplace_back(element.key, element.key_end);
  std::sort(out.begin(), out.end());
  return out;
}

// Deletes jumps, chain and destinations; leaves the sources.
void delete_rules(Socket& socket, NftTransaction& transaction, std::string_view tag) {
  for (const NftRuleInfo& jump : jumps_of(socket, tag)) {
    transaction.delete_rule(kEgressChain, jump.handle);
  }
  if (nft_chain_use(socket, table(), chain_name(tag))) {
    transaction.flush_chain(chain_name(tag)).delete_chain(chain_name(tag));
  }
  for (const std::string& set : nft_list_sets(socket, table(), destinations_prefix(tag))) {
    transaction.delete_set(set);
  }
}

}  // namespace

std::string egress_tag(std::string_view network) { return network_hash(network); }

std::string egress_sources_set(std::string_view tag, Family family) {
  return cat(chain_name(tag), "_from_", suffix(family));
}

EgressPlan plan_egress(const FirewallSpec& spec) {
  if (spec.egress_deny.empty() && spec.egress_allow.empty()) return {};
  Planner planner(spec.owner);
  planner.add(spec.egress_allow, kAllowed, NftVerdict{NftVerdict::Kind::kReturn, {}});
  planner.add(spec.egress_deny, kDenied, NftReject{});
  return planner.take();
}

std::string describe_difference(Socket& socket, std::string_view tag, const EgressPlan& plan) {
  const std::string place = cat(table().to_string(), ' ', chain_name(tag));
  const std::vector<NftRuleInfo> rules = nft_list_rules(socket, table(), chain_name(tag));
  if (rules.size() != plan.rules.size() || sets_of(rules) != sets_of(plan)) {
    return cat("nftables chain ", place, " has other rules than the network's egress rules");
  }
  if (plan.rules.empty()) return {};
  if (jumps_of(socket, tag).size() != kFamilies.size()) {
    return cat("nftables chain ", table().to_string(), ' ', kEgressChain, " does not jump to ",
               place);
  }
  for (const auto& [set, elements] : plan.destinations) {
    if (ends_of(nft_list_elements(socket, table(), set.name)) != ends_of(elements)) {
      return cat("nftables set ", table().to_string(), ' ', set.name,
                 " has other elements than the network's egress rules");
    }
  }
  return {};
}

void replace_egress(Socket& socket, NftTransaction& transaction, const Owner& owner,
                    const EgressPlan& plan) {
  const std::string tag = egress_tag(owner.network);
  const std::string chain = chain_name(tag);
  transaction.on(table());
  // Of two that do this at once the second has overlooked the first one's jumps: then the kernel
  // does not delete the chain, and the second looks again.
  delete_rules(socket, transaction, tag);
  if (plan.rules.empty()) return;
  std::string comment = cat("Egress rules, net: ", owner.network);
  std::erase(comment, '"');
  transaction.add_chain({chain, {}, comment});
  for (const auto& [set, elements] : plan.destinations) {
    transaction.add_set(set, NftCreate::kExclusive);
    transaction.add_elements(set.name, elements, NftCreate::kExclusive);
  }
  for (const NftRule& rule : plan.rules) transaction.append_rule(chain, rule);
  const std::vector<std::string> sources = nft_list_sets(socket, table(), cat(chain, "_from_"));
  for (const Family family : kFamilies) {
    const NftSet set = sources_set(tag, family, owner.network);
    const bool is_there = std::find(sources.begin(), sources.end(), set.name) != sources.end();
    if (!is_there) transaction.add_set(set, NftCreate::kExclusive);
    transaction.append_rule(
        kEgressChain, nft_rule({load_source(family),
                                {NftLookup{set.name}, NftVerdict{NftVerdict::Kind::kJump, chain}}},
                               comment));
  }
}

void delete_egress(Socket& socket, NftTransaction& transaction, std::string_view tag) {
  transaction.on(table());
  delete_rules(socket, transaction, tag);
  for (const std::string& set : nft_list_sets(socket, table(), cat(chain_name(tag), "_from_"))) {
    transaction.delete_set(set);
  }
}

}  // namespace cni::netfilter::filtering
