#include <linux/netfilter.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "pkg/netfilter/masquerade_backends.hpp"
#include "pkg/netfilter/nft.hpp"
#include "pkg/netfilter/owner.hpp"
#include "pkg/netfilter/races.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {
namespace {

// The reference's names and comments: its rules and ours live side by side.
constexpr std::string_view kChecks = "masq_checks";
constexpr std::string_view kPostrouting = "postrouting";
constexpr std::uint32_t kPostroutingRules = 3;

// Containers are elements of one set per subnet, which one rule looks up: a packet passes as many
// rules as the node has subnets, however many containers there are. (A verdict map from address to
// the subnet's chain would take one rule less, but then the kernel checks every element's chain
// again whenever one is added.)
constexpr std::string_view kSetPrefix = "containers_";

// The attachments, and how many addresses each has.
constexpr std::string_view kAttachments = "attachments";

NftTable table() { return {NftFamily::kInet, "cni_plugins_masquerade"}; }

bool is_host(const Prefix& address) { return address.length == address.address.width(); }

// nft reads a name of letters, digits, ".", "/", "-" and "_".
std::string set_name(const Prefix& address) {
  if (is_host(address)) {
    return cat(kSetPrefix, address.address.is_ipv4() ? "ipv4_hosts" : "ipv6_hosts");
  }
  std::string name = cat(kSetPrefix, address.network().to_string());
  std::replace(name.begin(), name.end(), ':', '-');
  return name;
}

NftSet set_of(const Prefix& address) {
  const NftType type = address.address.is_ipv4() ? NftType::kIpv4Address : NftType::kIpv6Address;
  const std::string subnet =
      is_host(address) ? std::string("no subnet") : address.network().to_string();
  return {set_name(address),
          {type},
          {},
          false,
          cat("Containers of ", subnet, " to masquerade outside of it")};
}

NftSet attachments_set() {
  return {std::string(kAttachments),
          {NftType::kIpv6Address},
          {NftType::kMark},
          false,
          "Attachments and how many addresses each has"};
}

// `ip saddr @SET ip daddr != SUBNET masquerade`. An address without a subnet has no destination to
// except.
NftRule rule_of(const Prefix& address) {
  const bool is_ipv4 = address.address.is_ipv4();
  const char family = is_ipv4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
  const auto source = is_ipv4 ? NftField::kIpv4Source : NftField::kIpv6Source;
  const auto destination = is_ipv4 ? NftField::kIpv4Destination : NftField::kIpv6Destination;
  std::vector<NftExpression> lookup = {NftLoad{NftField::kNfproto}, NftCompare{{family}, true},
                                       NftLoad{source}, NftLookup{set_name(address)}};
  if (is_host(address)) return nft_rule({std::move(lookup), {NftMasquerade{}}});
  return nft_rule(
      {std::move(lookup), nft_match_network(destination, address, false), {NftMasquerade{}}});
}

std::string key_of(const Prefix& address) { return NftKey().ip(address.address).take(); }

Owner owner_of(const MasqueradeSpec& spec) {
  return {spec.network, spec.container_id, spec.ifname};
}

bool has_rule_for(const std::vector<NftRuleInfo>& checks, std::string_view set) {
  return std::any_of(checks.begin(), checks.end(), [&](const NftRuleInfo& rule) {
    return std::find(rule.sets.begin(), rule.sets.end(), set) != rule.sets.end();
  });
}

// The shared objects that an element needs: read before each ADD, because whoever flushes rules
// leaves the sets behind.
class Shared {
 public:
  explicit Shared(netlink::Socket& socket)
      : socket_(socket),
        checks_(nft_list_rules(socket, table(), kChecks)),
        has_postrouting_(nft_chain_use(socket, table(), kPostrouting).value_or(0) >=
                         kPostroutingRules) {}

  void add_missing(NftTransaction& transaction, const std::vector<Prefix>& addresses) const {
    std::vector<std::string> done;
    for (const Prefix& address : addresses) {
      const std::string set = set_name(address);
      if (has_rule_for(checks_, set) || std::find(done.begin(), done.end(), set) != done.end()) {
        continue;
      }
      if (done.empty()) add_base(transaction);
      add_set_with_rule(transaction, address);
      done.push_back(set);
    }
    if (done.empty() && !has_postrouting_) add_base(transaction);
  }

 private:
  void add_base(NftTransaction& transaction) const {
    transaction.add_table("Masquerading for plugins from github.com/containernetworking/plugins");
    transaction.add_chain({std::string(kChecks),
                           {},
                           "Masquerade traffic from certain IPs to any (non-multicast) IP outside "
                           "their subnet"});
    transaction.add_chain(
        {std::string(kPostrouting), NftHook{"nat", NF_INET_POST_ROUTING, 100}, {}});
    if (has_postrouting_) return;
    const NftVerdict leave{NftVerdict::Kind::kReturn, {}};
    const auto multicast4 = *Prefix::parse("224.0.0.0/4");
    const auto multicast6 = *Prefix::parse("ff00::/8");
    transaction.flush_chain(kPostrouting);
    transaction.append_rule(
        kPostrouting,
        nft_rule({nft_match_network(NftField::kIpv4Destination, multicast4, true), {leave}}));
    transaction.append_rule(
        kPostrouting,
        nft_rule({nft_match_network(NftField::kIpv6Destination, multicast6, true), {leave}}));
    transaction.append_rule(
        kPostrouting, nft_rule({{NftVerdict{NftVerdict::Kind::kGoto, std::string(kChecks)}}}));
  }

  void add_set_with_rule(NftTransaction& transaction, const Prefix& address) const {
    // Set and rule come into being together, so that of two that create them one is refused as a
    // whole and looks again. If there is a set without its rule even when the rules are read after
    // the set, then they have been flushed.
    const NftSet set = set_of(address);
    const std::vector<std::string> sets = nft_list_sets(socket_, table(), set.name);
    const bool is_there = std::find(sets.begin(), sets.end(), set.name) != sets.end();
    if (is_there && has_rule_for(nft_list_rules(socket_, table(), kChecks), set.name)) return;
    if (!is_there) transaction.add_set(set, NftCreate::kExclusive);
    transaction.prepend_rule(kChecks, rule_of(address));
  }

  netlink::Socket& socket_;
  std::vector<NftRuleInfo> checks_;
  bool has_postrouting_;
};

struct Deletions {
  std::vector<std::uint64_t> rules;  // of masq_checks
  std::vector<NftPlace> elements;

  void add_to(NftTransaction& transaction) const {
    for (const std::uint64_t rule : rules) transaction.delete_rule(kChecks, rule);
    transaction.delete_elements(elements);
  }

  void commit(netlink::Socket& socket, std::string_view operation) const {
    NftTransaction transaction(table());
    add_to(transaction);
    transaction.commit(socket, operation);
  }
};

template <class Predicate>
void append_rules(const std::vector<NftRuleInfo>& checks, Predicate&& is_wanted, Deletions& out) {
  for (const NftRuleInfo& rule : checks) {
    if (is_wanted(rule.comment)) out.rules.push_back(rule.handle);
  }
}

template <class Predicate>
std::vector<NftPlace> list_elements(netlink::Socket& socket, Predicate&& is_wanted) {
  std::vector<std::string> sets = nft_list_sets(socket, table(), kSetPrefix);
  sets.emplace_back(kAttachments);
  std::vector<NftPlace> out;
  for (const std::string& set : sets) {
    for (NftElement& element : nft_list_elements(socket, table(), set)) {
      if (is_wanted(element.comment)) out.push_back({set, std::move(element.key)});
    }
  }
  return out;
}

std::uint32_t count_in(const NftElement& record) {
  std::uint32_t out = 0;
  std::memcpy(&out, record.data.data(), std::min(sizeof out, record.data.size()));
  return out;
}

NftPlace record_place(const Owner& owner) {
  return {std::string(kAttachments), owner_key(owner_id(owner))};
}

// By key where the addresses are known and are all that the attachment has; else it is searched
// for. What has no record here has no address here either.
std::vector<NftPlace> find_own_elements(netlink::Socket& socket, const MasqueradeSpec& spec) {
  const Owner owner = owner_of(spec);
  const auto is_own = [&](std::string_view comment) { return is_owned_by(comment, owner); };
  const NftPlace place = record_place(owner);
  const auto record = nft_find_element(socket, table(), place.set, place.key);
  if (!record) return {};
  const std::size_t expected = count_in(*record) + 1;
  std::vector<NftPlace> out = {place};
  for (const Prefix& address : spec.addresses) {
    const auto element = nft_find_element(socket, table(), set_name(address), key_of(address));
    if (element && is_own(element->comment)) out.push_back({set_name(address), element->key});
  }
  if (out.size() == expected) return out;
  return look_for(
      expected, [&] { return list_elements(socket, is_own); },
      [](const std::vector<NftPlace>& found) { return found.size(); });
}

Deletions find_own(netlink::Socket& socket, const MasqueradeSpec& spec) {
  const Owner owner = owner_of(spec);
  Deletions out;
  // Made by the reference, one for each address.
  append_rules(
      nft_list_rules(socket, table(), kChecks),
      [&](std::string_view comment) { return is_owned_by(comment, owner); }, out);
  out.elements = find_own_elements(socket, spec);
  return out;
}

// Each once.
std::vector<Prefix> addresses_once(const MasqueradeSpec& spec) {
  std::vector<Prefix> out;
  for (const Prefix& address : spec.addresses) {
    if (std::find(out.begin(), out.end(), address) == out.end()) out.push_back(address);
  }
  return out;
}

// Takes away what is in the way: the attachment's own, from an ADD before, and elements of its
// addresses that somebody has left who is gone, which would keep a wrong comment.
void clear_way(netlink::Socket& socket, NftTransaction& transaction, const MasqueradeSpec& spec) {
  find_own(socket, spec).add_to(transaction);
  for (const Prefix& address : addresses_once(spec)) {
    const NftPlace place{set_name(address), key_of(address)};
    const auto old = nft_find_element(socket, table(), place.set, place.key);
    const bool is_foreign = old && !is_owned_by(old->comment, owner_of(spec));
    if (is_foreign) transaction.delete_element(place.set, place.key);
  }
}

void add_elements(NftTransaction& transaction, const MasqueradeSpec& spec) {
  const Owner owner = owner_of(spec);
  const std::string comment = owner_comment(owner);
  const std::vector<Prefix> addresses = addresses_once(spec);
  const std::string count = nft_number(static_cast<std::uint32_t>(addresses.size()));
  const NftPlace record = record_place(owner);
  transaction.add_set(attachments_set(), NftCreate::kIfAbsent);
  transaction.add_element(record.set, {record.key, count, {}, comment}, NftCreate::kExclusive);
  for (const Prefix& address : addresses) {
    transaction.add_element(set_name(address), {key_of(address), {}, {}, comment},
                            NftCreate::kExclusive);
  }
}

Error missing(const MasqueradeSpec& spec, const Prefix& address, std::string_view what) {
  return Error(Code::kCheckFailed,
               cat("masquerade of ", address.address.to_string(), " (network ", spec.network,
                   ", container ", spec.container_id, ", ", spec.ifname, "): ", what));
}

// What the reference masquerades has none.
void check_record(netlink::Socket& socket, const MasqueradeSpec& spec,
                  const std::vector<NftRuleInfo>& checks) {
  const Owner owner = owner_of(spec);
  const bool is_of_reference =
      std::any_of(checks.begin(), checks.end(),
                  [&](const NftRuleInfo& rule) { return is_owned_by(rule.comment, owner); });
  const NftPlace place = record_place(owner);
  if (is_of_reference || nft_find_element(socket, table(), place.set, place.key)) return;
  throw missing(spec, spec.addresses[0],
                cat("the attachment is not in nftables map ", table().to_string(), ' ', place.set));
}

}  // namespace

void NftMasquerading::add(netlink::Socket& socket, const MasqueradeSpec& spec) {
  with_retries([&](int attempt) {
    NftTransaction transaction(table());
    Shared(socket).add_missing(transaction, spec.addresses);
    if (attempt > 0) clear_way(socket, transaction, spec);
    add_elements(transaction, spec);
    transaction.commit(socket, cat("add masquerading to nftables table ", table().to_string()));
  });
}

void NftMasquerading::remove(netlink::Socket& socket, const MasqueradeSpec& spec) {
  if (!nft_table_exists(socket, table())) return;
  with_retries([&](int) {
    find_own(socket, spec)
        .commit(socket, cat("remove masquerading from nftables table ", table().to_string()));
  });
}

void NftMasquerading::check(netlink::Socket& socket, const MasqueradeSpec& spec) {
  const Owner owner = owner_of(spec);
  const std::vector<NftRuleInfo> checks = nft_list_rules(socket, table(), kChecks);
  const auto is_rule_of_reference = [&](const Prefix& address) {
    return std::any_of(checks.begin(), checks.end(), [&](const NftRuleInfo& rule) {
      return is_owned_by(rule.comment, owner) && rule.source == key_of(address);
    });
  };
  for (const Prefix& address : spec.addresses) {
    if (is_rule_of_reference(address)) continue;
    const std::string set = set_name(address);
    const std::string where = cat("nftables set ", table().to_string(), ' ', set);
    const auto element = nft_find_element(socket, table(), set, key_of(address));
    if (!element) throw missing(spec, address, cat("not in ", where));
    if (!is_owned_by(element->comment, owner)) {
      throw missing(
          spec, address,
          cat(where, " has it for another attachment: ", describe_owner(element->comment)));
    }
    if (!has_rule_for(checks, set)) {
      throw missing(spec, address, cat("no rule of chain ", kChecks, " looks up ", where));
    }
  }
  if (spec.addresses.empty()) return;
  check_record(socket, spec, checks);
  const std::vector<NftRuleInfo> rules = nft_list_rules(socket, table(), kPostrouting);
  const std::string where = cat("nftables chain ", table().to_string(), ' ', kPostrouting);
  if (std::none_of(rules.begin(), rules.end(),
                   [](const NftRuleInfo& rule) { return rule.target == kChecks; })) {
    throw missing(spec, spec.addresses[0], cat(where, " does not go to ", kChecks));
  }
  if (rules.size() < kPostroutingRules) {
    throw missing(spec, spec.addresses[0],
                  cat("rules of ", where, " that except multicast are missing"));
  }
}

void NftMasquerading::gc(netlink::Socket& socket, std::string_view network,
                         std::span<const Attachment> valid) {
  if (!nft_table_exists(socket, table())) return;
  const StaleOwners is_stale(network, valid);
  with_retries([&](int) {
    Deletions stale;
    append_rules(nft_list_rules(socket, table(), kChecks), is_stale, stale);
    stale.elements = list_elements(socket, is_stale);
    stale.commit(socket, cat("collect garbage in nftables table ", table().to_string()));
  });
}

}  // namespace cni::netfilter
