#include "pkg/netfilter/mac_spoof_check.hpp"

#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "pkg/netfilter/nft.hpp"
#include "pkg/netfilter/races.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {

using netlink::Socket;

namespace {

// The reference's table and base chain, and our chain and sets in it.
constexpr std::string_view kPrerouting = "PREROUTING";
constexpr std::string_view kReferencePrefix = "cni-br-iface-";
constexpr std::string_view kChain = "cni-macspoofchk";
constexpr std::string_view kAllowed = "cni-macspoofchk-allowed";  // port and MAC
constexpr std::string_view kChecked = "cni-macspoofchk-ports";    // port
// Two of its own, and the jump from PREROUTING.
constexpr std::uint32_t kChainUse = 3;
// What a chain's name may have; the reference cannot have made a longer one.
constexpr std::size_t kMaxChainName = 255;

// NF_BR_PRE_ROUTING and NF_BR_PRI_NAT_DST_BRIDGED. <linux/netfilter_bridge.h>, which names them,
// cannot be included together with <net/if.h>.
constexpr std::uint32_t kHook = 0;
constexpr std::int32_t kPriority = -300;

NftTable table() { return {NftFamily::kBridge, "nat"}; }

std::string operation(std::string_view verb) {
  return cat(verb, " MAC spoof check in nftables table ", table().to_string());
}

// The reference's comment is ours too; the network behind it tells garbage collection whose
// attachment it is.
std::string reference_comment(const SpoofCheckSpec& spec) {
  return cat("macspoofchk-", spec.container_id, "-", spec.ifname);
}

std::string network_suffix(std::string_view network) { return cat(", net: ", network); }

std::string comment_of(const SpoofCheckSpec& spec) {
  return nft_comment(cat(reference_comment(spec), network_suffix(spec.network)));
}

std::string reference_chain(const SpoofCheckSpec& spec) {
  return cat(kReferencePrefix, spec.container_id, "-", spec.ifname);
}

std::string checked_key(const SpoofCheckSpec& spec) {
  return NftKey().ifname(spec.host_veth).take();
}

std::string allowed_key(const SpoofCheckSpec& spec) {
  return NftKey().ifname(spec.host_veth).mac(spec.mac).take();
}

std::string port_of(const NftElement& element) {
  return element.key.substr(0, std::min(element.key.find('\0'), std::size_t{IFNAMSIZ}));
}

// `iifname . ether saddr @ALLOWED return`, `iifname @PORTS drop`.
void add_rules(NftTransaction& transaction) {
  transaction.append_rule(
      kChain,
      nft_rule({{NftLoad{NftField::kIifname, 1}, NftLoad{NftField::kEtherSource, 2},
                 NftLookup{std::string(kAllowed)}, NftVerdict{NftVerdict::Kind::kReturn, {}}}}));
  transaction.append_rule(kChain,
                          nft_rule({{NftLoad{NftField::kIifname}, NftLookup{std::string(kChecked)},
                                     NftVerdict{NftVerdict::Kind::kDrop, {}}}}));
}

bool has_jump(Socket& socket) {
  const std::vector<NftRuleInfo> rules = nft_list_rules(socket, table(), kPrerouting);
  return std::any_of(rules.begin(), rules.end(),
                     [](const NftRuleInfo& rule) { return rule.target == kChain; });
}

// Makes what is missing of the shared objects: all on the first ADD, some after somebody flushed
// rules. Of two that create the sets at once the second is refused as a whole and looks again.
void add_shared(Socket& socket, NftTransaction& transaction) {
  if (nft_chain_use(socket, table(), kChain).value_or(0) >= kChainUse) return;
  const NftSet wanted[] = {{std::string(kAllowed),
                            {NftType::kIfname, NftType::kEtherAddress},
                            {},
                            false,
                            "Bridge ports and the source MAC that may come from them"},
                           {std::string(kChecked),
                            {NftType::kIfname},
                            {},
                            false,
                            "Bridge ports from which no other source MAC may come"}};
  const std::vector<std::string> sets = nft_list_sets(socket, table(), kChain);

  transaction.add_table({});
  transaction.add_chain({std::string(kPrerouting), NftHook{"filter", kHook, kPriority}, {}});
  transaction.add_chain({std::string(kChain), {}, "Drop frames with a foreign source MAC"});
  for (const NftSet& set : wanted) {
    const bool is_there = std::find(sets.begin(), sets.end(), set.name) != sets.end();
    if (!is_there) transaction.add_set(set, NftCreate::kExclusive);
  }
  transaction.flush_chain(kChain);
  add_rules(transaction);
  if (has_jump(socket)) return;
  transaction.append_rule(kPrerouting,
                          nft_rule({{NftVerdict{NftVerdict::Kind::kJump, std::string(kChain)}}}));
}

// What somebody who is gone left under the port's name.
void delete_leftovers(Socket& socket, NftTransaction& transaction, const SpoofCheckSpec& spec) {
  for (const std::string_view set : {kAllowed, kChecked}) {
    for (const NftElement& element : nft_list_elements(socket, table(), set)) {
      if (port_of(element) == spec.host_veth) transaction.delete_element(set, element.key);
    }
  }
}

using Elements = std::vector<NftPlace>;

template <class Predicate>
Elements find_all(Socket& socket, Predicate&& is_wanted) {
  Elements out;
  for (const std::string_view set : {kAllowed, kChecked}) {
    for (NftElement& element : nft_list_elements(socket, table(), set)) {
      if (is_wanted(element)) out.push_back({std::string(set), std::move(element.key)});
    }
  }
  return out;
}

// By key where port and MAC are known; else, or if they are not there, by comment.
Elements find_own(Socket& socket, const SpoofCheckSpec& spec) {
  const std::string comment = comment_of(spec);
  const auto is_own = [&](const NftElement& element) { return element.comment == comment; };
  Elements out;
  if (!spec.host_veth.empty() && !spec.mac.empty()) {
    const Elements places = {{std::string(kAllowed), allowed_key(spec)},
                             {std::string(kChecked), checked_key(spec)}};
    for (const auto& [set, key] : places) {
      const auto element = nft_find_element(socket, table(), set, key);
      if (element && is_own(*element)) out.push_back({set, key});
    }
    if (out.size() == places.size()) return out;
  }
  return find_all(socket, is_own);
}

void delete_elements(Socket& socket, const Elements& elements) {
  NftTransaction transaction(table());
  transaction.delete_elements(elements);
  transaction.commit(socket, operation("remove"));
}

// The reference's two chains of one attachment with the rules that jump to them.
void delete_reference_chains(Socket& socket, const std::string& chain) {
  if (chain.size() > kMaxChainName || !nft_chain_use(socket, table(), chain)) return;
  NftTransaction transaction(table());
  for (const NftRuleInfo& rule : nft_list_rules(socket, table(), kPrerouting)) {
    if (rule.target == chain) transaction.delete_rule(kPrerouting, rule.handle);
  }
  transaction.flush_chain(chain).delete_chain(chain);
  const std::string mac_chain = cat(chain, "-mac");
  if (nft_chain_use(socket, table(), mac_chain)) {
    transaction.flush_chain(mac_chain).delete_chain(mac_chain);
  }
  transaction.commit(socket, operation("remove"));
}

bool has_reference_check(Socket& socket, const SpoofCheckSpec& spec) {
  const std::string chain = reference_chain(spec);
  const std::vector<NftRuleInfo> entries = nft_list_rules(socket, table(), kPrerouting);
  const bool is_entered = std::any_of(entries.begin(), entries.end(), [&](const NftRuleInfo& rule) {
    return rule.target == chain && rule.iifname == spec.host_veth;
  });
  if (!is_entered) return false;
  const std::string mac(reinterpret_cast<const char*>(spec.mac.data()), spec.mac.size());
  const std::vector<NftRuleInfo> rules = nft_list_rules(socket, table(), cat(chain, "-mac"));
  return std::any_of(rules.begin(), rules.end(), [&](const NftRuleInfo& rule) {
    return std::find(rule.values.begin(), rule.values.end(), mac) != rule.values.end();
  });
}

Error missing(const SpoofCheckSpec& spec, std::string_view what) {
  return Error(Code::kCheckFailed, cat("MAC spoof check of ", spec.host_veth, " (container ",
                                       spec.container_id, ", ", spec.ifname, "): ", what));
}

void check_element(Socket& socket, const SpoofCheckSpec& spec, std::string_view set,
                   std::string_view key) {
  const std::string where = cat("nftables set ", table().to_string(), ' ', set);
  const auto element = nft_find_element(socket, table(), set, key);
  if (!element) throw missing(spec, cat("not in ", where));
  if (element->comment != comment_of(spec)) {
    throw missing(spec, cat(where, " has it for another attachment: ", quote(element->comment)));
  }
}

bool is_gone(std::string_view port) { return ::if_nametoindex(std::string(port).c_str()) == 0; }

// The reference's chains do not say which network they are of: only those of ports that are gone
// are garbage for sure.
void gc_reference_chains(Socket& socket) {
  std::vector<std::string> kept;
  std::vector<std::string> stale;
  for (const NftRuleInfo& rule : nft_list_rules(socket, table(), kPrerouting)) {
    if (!rule.target.starts_with(kReferencePrefix)) continue;
    (is_gone(rule.iifname) ? stale : kept).push_back(rule.target);
  }
  for (const std::string& chain : stale) {
    if (std::find(kept.begin(), kept.end(), chain) == kept.end()) {
      delete_reference_chains(socket, chain);
    }
  }
}

}  // namespace

void add_mac_spoof_check(const SpoofCheckSpec& spec, os::Undo& undo) {
  Connection connection;
  Socket& socket = connection.get();
  with_retries([&](int attempt) {
    NftTransaction transaction(table());
    add_shared(socket, transaction);
    if (attempt > 0) delete_leftovers(socket, transaction, spec);
    const std::string comment = comment_of(spec);
    transaction.add_element(kAllowed, {allowed_key(spec), {}, {}, comment}, NftCreate::kExclusive);
    transaction.add_element(kChecked, {checked_key(spec), {}, {}, comment}, NftCreate::kExclusive);
    transaction.commit(socket, operation("add"));
  });
  undo.push(cat("remove the MAC spoof check of ", spec.host_veth),
            [spec] { remove_mac_spoof_check(spec); });
}

void remove_mac_spoof_check(const SpoofCheckSpec& spec, Connection& connection) {
  Socket* socket = connection.find();
  if (socket == nullptr || !nft_table_exists(*socket, table())) return;
  with_retries([&](int) {
    delete_elements(*socket, find_own(*socket, spec));
    delete_reference_chains(*socket, reference_chain(spec));
  });
}

void remove_mac_spoof_check(const SpoofCheckSpec& spec) {
  Connection connection;
  remove_mac_spoof_check(spec, connection);
}

void check_mac_spoof_check(const SpoofCheckSpec& spec) {
  Connection connection;
  Socket& socket = connection.get();
  if (has_reference_check(socket, spec)) return;
  check_element(socket, spec, kChecked, checked_key(spec));
  check_element(socket, spec, kAllowed, allowed_key(spec));
  if (nft_chain_use(socket, table(), kChain).value_or(0) < kChainUse || !has_jump(socket)) {
    throw missing(spec, cat("rules of nftables chain ", table().to_string(), ' ', kChain,
                            " are missing, or ", kPrerouting, " does not jump to it"));
  }
}

void gc_mac_spoof_check(std::string_view network, std::span<const Attachment> valid) {
  Connection connection;
  if (connection.find() == nullptr || !nft_table_exists(connection.get(), table())) return;
  Socket& socket = connection.get();
  const std::string suffix = network_suffix(network);
  std::vector<std::string> kept;
  for (const Attachment& one : valid) {
    kept.push_back(comment_of({std::string(network), one.container_id, one.ifname, {}, {}}));
  }
  std::sort(kept.begin(), kept.end());
  with_retries([&](int) {
    delete_elements(socket, find_all(socket, [&](const NftElement& element) {
                      const bool is_ours = element.comment.ends_with(suffix);
                      const bool is_kept =
                          std::binary_search(kept.begin(), kept.end(), element.comment);
                      return (is_ours && !is_kept) || is_gone(port_of(element));
                    }));
    gc_reference_chains(socket);
  });
}

}  // namespace cni::netfilter
