#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "pkg/netfilter/port_map_backends.hpp"
#include "pkg/netfilter/port_map_guard.hpp"
#include "pkg/netfilter/port_map_layout.hpp"
#include "pkg/netfilter/port_map_reference.hpp"
#include "pkg/netfilter/races.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {
namespace {

using netlink::Socket;
using published::Placed;

// Up to that many elements are looked up one by one; a list is faster for more.
constexpr std::size_t kMaxLookups = 64;

// Targets of families that have a mapping.
std::vector<Prefix> targets_in_use(const PortMapSpec& spec) {
  std::vector<Prefix> out;
  for (const Prefix& target : spec.targets) {
    if (!mappings_of(spec, target.address.family()).empty()) out.push_back(target);
  }
  return out;
}

// Elements of one attachment in one family.
class Found {
 public:
  void add(std::string_view set, NftElement element) {
    elements_.push_back({std::string(set), std::move(element)});
  }

  const std::vector<Placed>& elements() const { return elements_; }

  void add_deletions(NftTransaction& transaction) const {
    std::vector<NftPlace> places;
    for (const Placed& one : elements_) places.push_back({one.set, one.element.key});
    transaction.delete_elements(places);
  }

 private:
  std::vector<Placed> elements_;  // those of one set stand together
};

void note_udp(const Found& found, Family family, RemovedPorts& out) {
  for (const Placed& one : found.elements()) {
    const auto destination = published::udp_destination(one, family);
    if (destination) out.push_back(*destination);
  }
}

// All elements whose comments satisfy a condition, by listing.
template <class Predicate>
Found list_if(Socket& socket, Family family, Predicate&& is_wanted) {
  Found out;
  for (const std::string& set : published::element_sets(socket, family)) {
    for (NftElement& element : nft_list_elements(socket, published::table(family), set)) {
      if (is_wanted(element.comment)) out.add(set, std::move(element));
    }
  }
  return out;
}

// All that has the attachment's digest.
Found list_all(Socket& socket, Family family, std::string_view digest) {
  return list_if(socket, family,
                 [&](std::string_view comment) { return comment.starts_with(digest); });
}

// By key: what the attachment has if it was made as the specification says.
Found look_up(Socket& socket, Family family, const PortMapSpec& spec, const Prefix& target) {
  Found out;
  for (Placed& place : published::places_of(spec, target)) {
    auto element = nft_find_element(socket, published::table(family), place.set, place.element.key);
    if (element && is_owned_by(element->comment, spec.owner)) out.add(place.set, *element);
  }
  return out;
}

// What the attachment has, and whether guards are among it. Nothing is listed if it has no port
// here, nor if all are found where the specification says.
struct Own {
  Found found;
  bool has_guards = false;
};

Own find_own(Socket& socket, Family family, const PortMapSpec& spec) {
  const auto owner = nft_find_element(socket, published::table(family), published::kOwners,
                                      owner_key(owner_id(spec.owner)));
  if (!owner) return {};
  const published::Holding holding = published::holding_in(*owner);
  const std::optional<Prefix> target = target_of(spec, family);
  const std::size_t expected = holding.elements + 1;  // and that in kOwners
  const bool is_known = target && !holding.has_guards && expected <= kMaxLookups;
  if (is_known) {
    Own out{look_up(socket, family, spec, *target), false};
    if (out.found.elements().size() == expected) return out;
  }
  return {look_for(
              expected, [&] { return list_all(socket, family, owner_id(spec.owner)); },
              [](const Found& found) { return found.elements().size(); }),
          holding.has_guards};
}

Error taken(const PortMapSpec& spec, const PortMapping& mapping, const NftElement& holder) {
  return Error(Code::kConflict,
               cat("host port ", mapping.to_string(), " cannot be published for ",
                   spec.owner.to_string(), ": ", describe_owner(holder.comment), " has it"),
               "choose another host port or hostIP, or stop that container first");
}

std::string digest_of(const NftElement& element) {
  return element.comment.substr(0, element.comment.find(','));
}

// Whether the container is gone to which the element leads: its address is another's now, or the
// host's end of its link is no more. So the port was not removed: there was no DEL, or one of the
// reference plugins.
bool is_gone(Socket& socket, const NftElement& holder, const Prefix& target) {
  if (published::leads_to(holder, target.address)) return true;
  const Family family = target.address.family();
  const auto owner = nft_find_element(socket, published::table(family), published::kOwners,
                                      owner_key(digest_of(holder)));
  const netlink::LinkIndex link =
      owner ? published::holding_in(*owner).host_link : netlink::LinkIndex::kNone;
  if (link == netlink::LinkIndex::kNone) return false;
  Socket links = Socket::open();
  return !netlink::find_link(links, link);
}

// Takes away what is in the way of the attachment's elements: its own, from an ADD before, and that
// of attachments that are gone. A port that somebody else has is an error.
void clear_way(Socket& socket, NftTransaction& transaction, const PortMapSpec& spec,
               const Prefix& target) {
  const Family family = target.address.family();
  const NftTable table = published::table(family);
  // Listed, because others may have removed a part of it.
  std::vector<std::string> gone = {owner_id(spec.owner)};
  const auto add_gone = [&](const NftElement& element) {
    std::string digest = digest_of(element);
    if (std::find(gone.begin(), gone.end(), digest) == gone.end()) gone.push_back(digest);
  };
  for (const PortMapping& mapping : mappings_of(spec, family)) {
    const auto holder =
        nft_find_element(socket, table, published::map_of(mapping), published::key_of(mapping));
    if (!holder || is_owned_by(holder->comment, spec.owner)) continue;
    if (!is_gone(socket, *holder, target)) throw taken(spec, mapping, *holder);
    add_gone(*holder);
  }
  for (const Placed& place : published::masquerade_places(target)) {
    const auto element = nft_find_element(socket, table, place.set, place.element.key);
    if (element && !is_owned_by(element->comment, spec.owner)) add_gone(*element);
  }
  for (const std::string& digest : gone) {
    transaction.on(table);
    list_all(socket, family, digest).add_deletions(transaction);
    published::delete_guards(socket, transaction, digest, family);
  }
}

void add_elements(NftTransaction& transaction, const PortMapSpec& spec, const Prefix& target) {
  const std::vector<Placed> elements = published::elements_of(spec, target);
  std::size_t start = 0;
  while (start < elements.size()) {
    const std::string& set = elements[start].set;
    std::vector<NftElement> of_one_set;
    for (; start < elements.size() && elements[start].set == set; ++start) {
      of_one_set.push_back(elements[start].element);
    }
    transaction.add_elements(set, of_one_set, NftCreate::kExclusive);
  }
}

Error missing(const PortMapSpec& spec, std::string_view what) {
  return Error(Code::kCheckFailed, cat("published ports of ", spec.owner.to_string(), ": ", what));
}

void check_element(Socket& socket, const PortMapSpec& spec, Family family, const Placed& wanted) {
  const NftTable table = published::table(family);
  const std::string where = cat("nftables set ", table.to_string(), ' ', wanted.set);
  const auto element = nft_find_element(socket, table, wanted.set, wanted.element.key);
  const std::string what = published::describe(wanted, family);
  if (!element) throw missing(spec, cat(what, " is not in ", where));
  if (!is_owned_by(element->comment, spec.owner)) {
    throw missing(spec, cat(where, " has ", what, " for ", describe_owner(element->comment)));
  }
  const bool is_same = wanted.set == published::kOwners
                           ? published::holding_in(*element).elements ==
                                 published::holding_in(wanted.element).elements
                           : element->data == wanted.element.data;
  if (!is_same) {
    throw missing(spec, cat(what, " leads elsewhere in ", where));
  }
}

// False if the reference plugins have published the ports.
bool check_family(Socket& socket, const PortMapSpec& spec, const Prefix& target) {
  const Family family = target.address.family();
  const std::size_t wanted = mappings_of(spec, family).size();
  const std::string& container = spec.owner.container_id;
  if (published::count_reference_rules(socket, family, container) >= wanted) return false;

  std::string gap = published::Shared(socket, family).describe_missing(spec, target);
  if (gap.empty()) gap = published::describe_missing_guard(socket, spec, family);
  if (!gap.empty()) throw missing(spec, gap);
  for (const Placed& one : published::elements_of(spec, target)) {
    check_element(socket, spec, family, one);
  }
  return true;
}

// Everything that the attachment has in the family, which is returned.
Found delete_own(Socket& socket, NftTransaction& transaction, Family family,
                 const PortMapSpec& spec) {
  Own own = find_own(socket, family, spec);
  transaction.on(published::table(family));
  own.found.add_deletions(transaction);
  if (own.has_guards) {
    published::delete_guards(socket, transaction, owner_id(spec.owner), family);
  }
  published::delete_reference_rules(socket, transaction, family, spec.owner.container_id);
  return std::move(own.found);
}

void gc_family(Socket& socket, Family family, std::string_view network,
               std::span<const Attachment> valid, RemovedPorts& removed) {
  const NftTable table = published::table(family);
  const StaleOwners is_stale(network, valid);
  const Found found = list_if(socket, family, is_stale);
  note_udp(found, family, removed);
  NftTransaction transaction(table);
  found.add_deletions(transaction);
  for (const Placed& one : found.elements()) {
    const bool has_guards =
        one.set == published::kOwners && published::holding_in(one.element).has_guards;
    if (has_guards) published::delete_guards(socket, transaction, digest_of(one.element), family);
  }
  transaction.commit(socket, cat("collect garbage in nftables table ", table.to_string()));
  published::gc_reference_rules(socket, family, valid, published::kResultCache);
}

}  // namespace

void NftPortMap::add(Socket& socket, const PortMapSpec& spec) {
  const std::vector<Prefix> targets = targets_in_use(spec);
  with_retries([&](int attempt) {
    NftTransaction transaction(published::table(Family::kIpv4));
    for (const Prefix& target : targets) {
      const Family family = target.address.family();
      published::Shared(socket, family).add_missing(transaction, spec, target);
      if (attempt > 0) clear_way(socket, transaction, spec, target);
      transaction.on(published::table(family));
      published::add_guards(transaction, spec, family);
      add_elements(transaction, spec, target);
    }
    transaction.commit(socket, cat("publish ports of ", spec.owner.to_string()));
  });
}

void NftPortMap::replace(Socket& socket, const PortMapSpec& was, const PortMapSpec& now) {
  with_retries([&](int attempt) {
    NftTransaction transaction(published::table(Family::kIpv4));
    for (const Family family : {Family::kIpv4, Family::kIpv6}) {
      const auto target = target_of(now, family);
      const bool is_wanted = target && !mappings_of(now, family).empty();
      if (is_wanted) published::Shared(socket, family).add_missing(transaction, now, *target);
      if (is_wanted && attempt > 0) {
        clear_way(socket, transaction, now, *target);
      } else if (nft_table_exists(socket, published::table(family))) {
        delete_own(socket, transaction, family, was);
      }
      if (!is_wanted) continue;
      transaction.on(published::table(family));
      published::add_guards(transaction, now, family);
      add_elements(transaction, now, *target);
    }
    transaction.commit(socket, cat("change published ports of ", now.owner.to_string()));
  });
}

void NftPortMap::add_conditions(const PortMapSpec& spec) {
  for (const Prefix& target : targets_in_use(spec)) {
    published::add_conditions(spec, target.address.family());
  }
}

RemovedPorts NftPortMap::remove(Socket& socket, const PortMapSpec& spec) {
  RemovedPorts removed;
  with_retries([&](int) {
    NftTransaction transaction(published::table(Family::kIpv4));
    for (const Family family : {Family::kIpv4, Family::kIpv6}) {
      if (!nft_table_exists(socket, published::table(family))) continue;
      note_udp(delete_own(socket, transaction, family, spec), family, removed);
    }
    transaction.commit(socket, cat("remove published ports of ", spec.owner.to_string()));
  });
  return removed;
}

bool NftPortMap::check(Socket& socket, const PortMapSpec& spec) {
  bool is_ours = false;
  for (const Prefix& target : targets_in_use(spec)) {
    is_ours = check_family(socket, spec, target) || is_ours;
  }
  return is_ours;
}

RemovedPorts NftPortMap::gc(Socket& socket, std::string_view network,
                            std::span<const Attachment> valid) {
  RemovedPorts removed;
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    if (!nft_table_exists(socket, published::table(family))) continue;
    with_retries([&](int) { gc_family(socket, family, network, valid, removed); });
  }
  return removed;
}

}  // namespace cni::netfilter
