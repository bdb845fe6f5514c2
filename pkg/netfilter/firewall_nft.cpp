#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#include "pkg/netfilter/firewall_backends.hpp"
#include "pkg/netfilter/firewall_nft_egress.hpp"
#include "pkg/netfilter/firewall_nft_layout.hpp"
#include "pkg/netfilter/firewall_nft_uses.hpp"
#include "pkg/netfilter/nft.hpp"
#include "pkg/netfilter/races.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/hash.hpp"

namespace cni::netfilter {
namespace {

using filtering::EgressPlan;
using filtering::Use;
using netlink::Socket;

constexpr std::size_t kKeyLength = 15;

std::string operation(std::string_view verb) {
  return cat(verb, " firewall in nftables table ", filtering::table().to_string());
}

// One element, and the set it is in.
struct Placed {
  NftTable table;
  std::string set;
  NftElement element;
  std::string what;  // it is for, for messages

  std::string where() const { return cat("nftables set ", table.to_string(), ' ', set); }
  bool is_at(const Placed& other) const {
    return table.family == other.table.family && set == other.set &&
           element.key == other.element.key;
  }
};

Placed placed(std::string_view set, std::string key, std::string what) {
  return {filtering::table(), std::string(set), {std::move(key), {}, {}, {}}, std::move(what)};
}

// Where the attachment's record is.
Placed record_place(const Owner& owner) {
  return placed(filtering::kAttachments,
                NftKey().ifname(hashed_name("", owner_id(owner), kKeyLength)).take(), "attachment");
}

std::uint32_t count_in(const NftElement& record) {
  std::uint32_t out = 0;
  std::memcpy(&out, record.data.data(), std::min(sizeof out, record.data.size()));
  return out;
}

Placed holder_place(const Owner& owner, Use use) {
  return placed(filtering::kHolders, filtering::holder_key(owner, use), "need");
}

Placed address_place(std::string_view set, const Ip& address) {
  return placed(set, NftKey().ip(address).take(), address.to_string());
}

std::vector<Ip> addresses_once(const FirewallSpec& spec) {
  std::vector<Ip> out = spec.addresses;
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

// Where the attachment's elements are if it has these uses, but for its record.
std::vector<Placed> places_of(const FirewallSpec& spec, const std::vector<Use>& uses) {
  const auto has = [&](Use use) { return std::find(uses.begin(), uses.end(), use) != uses.end(); };
  std::vector<Placed> out;
  for (const Ip& address : addresses_once(spec)) {
    out.push_back(address_place(filtering::containers_set(address.family()), address));
    if (!has(Use::kEgress)) continue;
    out.push_back(address_place(
        filtering::egress_sources_set(filtering::egress_tag(spec.owner.network), address.family()),
        address));
  }
  for (const Use use : uses) out.push_back(holder_place(spec.owner, use));
  if (!has(Use::kIsolated)) return out;
  for (const std::string& link : spec.host_links) {
    out.push_back({filtering::bridge_table(),
                   std::string(filtering::kIsolatedPorts),
                   {NftKey().ifname(link).take(), {}, {}, {}},
                   cat("port ", link)});
  }
  return out;
}

// All elements that the attachment is to have.
std::vector<Placed> elements_of(const FirewallSpec& spec) {
  const std::vector<Use> uses = filtering::uses_of(spec);
  std::vector<Placed> out = places_of(spec, uses);
  Placed record = record_place(spec.owner);
  record.element.data = nft_number(static_cast<std::uint32_t>(out.size()));
  out.push_back(std::move(record));
  for (Placed& one : out) one.element.comment = owner_comment(spec.owner);
  for (const Use use : uses) {
    const Placed place = holder_place(spec.owner, use);
    for (Placed& one : out) {
      if (!one.is_at(place)) continue;
      one.element.verdict = NftVerdict{NftVerdict::Kind::kGoto, filtering::use_chain(spec, use)};
    }
  }
  return out;
}

std::optional<NftElement> find(Socket& socket, const Placed& place) {
  return nft_find_element(socket, place.table, place.set, place.element.key);
}

// What the attachment has.
struct Own {
  std::vector<Placed> elements;
  std::vector<std::string> chains;  // that it holds

  void add(Placed place, NftElement element) {
    if (element.verdict) chains.push_back(element.verdict->chain);
    place.element = std::move(element);
    elements.push_back(std::move(place));
  }
};

// Adds those of the places that have an element of that attachment.
void look_up(Socket& socket, const Owner& owner, std::vector<Placed> places, Own& out) {
  for (Placed& place : places) {
    auto element = find(socket, place);
    if (element && is_owned_by(element->comment, owner)) out.add(std::move(place), *element);
  }
}

// The sets that have elements of the network's attachments.
std::vector<std::pair<NftTable, std::string>> element_sets(std::string_view network) {
  const std::string tag = filtering::egress_tag(network);
  std::vector<std::pair<NftTable, std::string>> out;
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    out.emplace_back(filtering::table(), filtering::containers_set(family));
    out.emplace_back(filtering::table(), filtering::egress_sources_set(tag, family));
  }
  out.emplace_back(filtering::table(), filtering::kAttachments);
  out.emplace_back(filtering::table(), filtering::kHolders);
  out.emplace_back(filtering::bridge_table(), filtering::kIsolatedPorts);
  return out;
}

template <class Predicate>
Own list_all(Socket& socket, std::string_view network, Predicate&& is_wanted) {
  Own out;
  for (const auto& [table, set] : element_sets(network)) {
    for (NftElement& element : nft_list_elements(socket, table, set)) {
      if (is_wanted(element.comment)) out.add({table, set, {}, {}}, std::move(element));
    }
  }
  return out;
}

// By key, and if that is not all that the record counts, by listing.
Own find_own(Socket& socket, const FirewallSpec& spec) {
  std::vector<Use> uses;
  for (const Use use : filtering::kUses) {
    if (find(socket, holder_place(spec.owner, use))) uses.push_back(use);
  }
  Own out;
  look_up(socket, spec.owner, places_of(spec, uses), out);
  const auto record = find(socket, record_place(spec.owner));
  if (!record) return out;
  if (out.elements.size() == count_in(*record)) {
    out.add(record_place(spec.owner), *record);
    return out;
  }
  const auto is_own = [&](std::string_view it) { return is_owned_by(it, spec.owner); };
  return look_for(
      count_in(*record) + 1, [&] { return list_all(socket, spec.owner.network, is_own); },
      [](const Own& own) { return own.elements.size(); });
}

void delete_all(NftTransaction& transaction, std::span<const Placed> elements) {
  for (const NftTable& table : {filtering::table(), filtering::bridge_table()}) {
    std::vector<NftPlace> places;
    for (const Placed& one : elements) {
      if (one.table.family == table.family) places.push_back({one.set, one.element.key});
    }
    transaction.on(table).delete_elements(places);
  }
}

// Somebody who is gone has left his address to this attachment: where his network sends may not be
// held against it.
void delete_foreign_source(Socket& socket, NftTransaction& transaction, const Placed& place,
                           const NftElement& found, const Owner& owner) {
  const std::string tag = found.comment.substr(0, found.comment.find('-'));
  if (tag == filtering::egress_tag(owner.network)) return;
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    if (place.set != filtering::containers_set(family)) continue;
    const std::string set = filtering::egress_sources_set(tag, family);
    if (nft_find_element(socket, filtering::table(), set, found.key)) {
      transaction.on(filtering::table()).delete_element(set, found.key);
    }
  }
}

// Adds elements where some are already: the attachment's own from an ADD before, of which those
// that are not wanted any more are deleted, or of others who are gone.
void merge_elements(Socket& socket, NftTransaction& transaction, const FirewallSpec& spec,
                    const std::vector<Placed>& wanted, const Own& own) {
  for (const Placed& old : own.elements) {
    const bool is_wanted = std::any_of(wanted.begin(), wanted.end(),
                                       [&](const Placed& one) { return one.is_at(old); });
    if (!is_wanted) delete_all(transaction, {&old, 1});
  }
  for (const Placed& one : wanted) {
    if (const auto found = find(socket, one)) {
      const bool is_same = found->comment == one.element.comment &&
                           found->data == one.element.data && found->verdict == one.element.verdict;
      if (is_same) continue;
      delete_all(transaction, {&one, 1});
      if (!is_owned_by(found->comment, spec.owner)) {
        delete_foreign_source(socket, transaction, one, *found, spec.owner);
      }
    }
    transaction.on(one.table).add_element(one.set, one.element, NftCreate::kExclusive);
  }
}

bool has_use(const FirewallSpec& spec, Use use) {
  const std::vector<Use> uses = filtering::uses_of(spec);
  return std::find(uses.begin(), uses.end(), use) != uses.end();
}

// Puts the network's egress rules in place; takes away what there is if it has none any more.
void add_egress(Socket& socket, NftTransaction& transaction, const FirewallSpec& spec,
                const EgressPlan& plan) {
  const std::string chain = filtering::use_chain(spec, Use::kEgress);
  if (plan.rules.empty() && !nft_chain_use(socket, filtering::table(), chain)) return;
  const std::string tag = filtering::egress_tag(spec.owner.network);
  if (filtering::describe_difference(socket, tag, plan).empty()) return;
  filtering::replace_egress(socket, transaction, spec.owner, plan);
}

void add_shared(Socket& socket, NftTransaction& transaction, const FirewallSpec& spec,
                bool is_thorough) {
  filtering::add_missing(socket, transaction, filtering::forward_part(), is_thorough);
  if (has_use(spec, Use::kEgress)) {
    filtering::add_missing(socket, transaction, filtering::input_part(), is_thorough);
  }
  if (has_use(spec, Use::kIsolated) && !spec.host_links.empty()) {
    filtering::add_missing(socket, transaction, filtering::bridge_part(), is_thorough);
  }
  for (const Use use : filtering::uses_of(spec)) {
    filtering::add_use(transaction, filtering::use_chain(spec, use));
  }
}

Error missing(const FirewallSpec& spec, std::string_view what) {
  return Error(Code::kCheckFailed, cat("firewall of ", spec.owner.to_string(), ": ", what));
}

void check_shared(Socket& socket, const FirewallSpec& spec) {
  const auto check = [&](const filtering::SharedPart& part) {
    const std::string what = filtering::describe_missing(socket, part);
    if (!what.empty()) throw missing(spec, what);
  };
  check(filtering::forward_part());
  if (has_use(spec, Use::kEgress)) check(filtering::input_part());
  if (has_use(spec, Use::kIsolated) && !spec.host_links.empty()) check(filtering::bridge_part());
}

// True if it is the attachment's; false if nobody has it.
bool check_owner(Socket& socket, const FirewallSpec& spec, const Placed& one) {
  const auto found = find(socket, one);
  if (!found) return false;
  if (!is_owned_by(found->comment, spec.owner)) {
    throw missing(spec, cat(one.where(), " has ", one.what,
                            " for another attachment: ", describe_owner(found->comment)));
  }
  if (found->verdict != one.element.verdict) {
    throw missing(spec, cat(one.where(), " has the ", one.what, " of another configuration"));
  }
  return true;
}

// Plugins behind this one may have added links of the host to the result, which ADD did not see: so
// it is the record that says how many ports there are.
void check_elements(Socket& socket, const FirewallSpec& spec) {
  std::uint32_t found = 0;
  const Placed* absent_port = nullptr;
  const std::vector<Placed> elements = elements_of(spec);
  for (const Placed& one : elements) {
    if (check_owner(socket, spec, one)) {
      ++found;
    } else if (one.set == filtering::kIsolatedPorts) {
      if (absent_port == nullptr) absent_port = &one;
    } else {
      throw missing(spec, cat(one.what, " is not in ", one.where()));
    }
  }
  const auto record = find(socket, record_place(spec.owner));
  if (!record || found == count_in(*record) + 1) return;
  throw missing(spec, absent_port != nullptr
                          ? cat(absent_port->what, " is not in ", absent_port->where())
                          : std::string("nftables has more for it than the configuration says"));
}

void check_uses(Socket& socket, const FirewallSpec& spec) {
  for (const Use use : filtering::uses_of(spec)) {
    for (const auto& [set, key] : filtering::shared_elements(filtering::use_chain(spec, use))) {
      if (nft_find_element(socket, filtering::table(), set, key)) continue;
      throw missing(spec, cat("bridge ", spec.bridge, " is not in nftables set ",
                              filtering::table().to_string(), ' ', set));
    }
  }
}

bool has_any_table(Socket& socket) {
  return nft_table_exists(socket, filtering::table()) ||
         nft_table_exists(socket, filtering::bridge_table());
}

}  // namespace

std::vector<std::string> NftFirewall::add(Socket& socket, const FirewallSpec& spec) {
  const EgressPlan plan = filtering::plan_egress(spec);
  const std::vector<Placed> elements = elements_of(spec);
  std::vector<std::string> former_chains;
  with_retries([&](int attempt) {
    NftTransaction transaction(filtering::table());
    add_shared(socket, transaction, spec, attempt > 0);
    add_egress(socket, transaction, spec, plan);
    if (attempt == 0) {
      for (const Placed& one : elements) {
        transaction.on(one.table).add_element(one.set, one.element, NftCreate::kExclusive);
      }
    } else {
      const Own own = find_own(socket, spec);
      former_chains = own.chains;
      merge_elements(socket, transaction, spec, elements, own);
    }
    transaction.commit(socket, operation("add the"));
  });
  return former_chains;
}

void NftFirewall::sweep(Socket& socket, const std::vector<std::string>& chains) {
  filtering::sweep_unused(socket, chains);
}

void NftFirewall::remove(Socket& socket, const FirewallSpec& spec) {
  if (!has_any_table(socket)) return;
  std::vector<std::string> left;  // chains that others needed too
  with_retries([&](int) {
    const Own own = find_own(socket, spec);
    left.clear();
    NftTransaction transaction(filtering::table());
    delete_all(transaction, own.elements);
    for (const std::string& chain : own.chains) {
      if (nft_chain_use(socket, filtering::table(), chain).value_or(0) > 1) {
        left.push_back(chain);
      } else {
        filtering::sweep(socket, transaction, chain);
      }
    }
    transaction.commit(socket, operation("remove the"));
  });
  // They may have gone since.
  filtering::sweep_unused(socket, left);
}

void NftFirewall::check(Socket& socket, const FirewallSpec& spec) {
  check_shared(socket, spec);
  check_elements(socket, spec);
  check_uses(socket, spec);
  const EgressPlan plan = filtering::plan_egress(spec);
  if (plan.rules.empty()) return;
  const std::string what =
      filtering::describe_difference(socket, filtering::egress_tag(spec.owner.network), plan);
  if (!what.empty()) throw missing(spec, what);
}

void NftFirewall::gc(Socket& socket, std::string_view network, std::span<const Attachment> valid) {
  if (!has_any_table(socket)) return;
  const StaleOwners is_stale(network, valid);
  std::vector<std::string> chains;
  with_retries([&](int) {
    const Own own = list_all(socket, network, is_stale);
    chains.insert(chains.end(), own.chains.begin(), own.chains.end());
    NftTransaction transaction(filtering::table());
    delete_all(transaction, own.elements);
    transaction.commit(socket, operation("collect garbage of the"));
  });
  filtering::sweep_unused(socket, chains);
}

}  // namespace cni::netfilter
