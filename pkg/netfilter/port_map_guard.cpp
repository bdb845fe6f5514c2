#include "pkg/netfilter/port_map_guard.hpp"

#include <optional>

#include "pkg/netfilter/port_map_layout.hpp"
#include "pkg/os/file.hpp"
#include "pkg/os/process.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter::published {
namespace {

// Folders that PATH often lacks where services are started.
constexpr std::string_view kUsualFolders = "/usr/sbin:/sbin:/usr/local/sbin";

const std::vector<std::string>& conditions_of(const PortMapSpec& spec, Family family) {
  return family == Family::kIpv4 ? spec.conditions_ipv4 : spec.conditions_ipv6;
}

std::string guard_prefix(std::string_view digest) { return cat(kGuardPrefix, digest, '_'); }

std::string conditions_chain(const Owner& owner) {
  return cat(guard_prefix(owner_id(owner)), "conditions");
}

std::string sources_chain(const Owner& owner, std::size_t number) {
  return cat(guard_prefix(owner_id(owner)), number);
}

// Where a packet goes that satisfies what the mapping asks of its source.
NftVerdict passed(const PortMapSpec& spec, Family family) {
  if (conditions_of(spec, family).empty()) return {NftVerdict::Kind::kReturn, {}};
  return {NftVerdict::Kind::kGoto, conditions_chain(spec.owner)};
}

// Ends the way through our chains, without a translation.
NftRule refusal() { return nft_rule({{NftVerdict{NftVerdict::Kind::kAccept, {}}}}); }

void add_sources_chain(NftTransaction& transaction, const PortMapSpec& spec, Family family,
                       const std::string& chain, const PortMapping& mapping) {
  const NftField source = family == Family::kIpv4 ? NftField::kIpv4Source : NftField::kIpv6Source;
  transaction.add_chain({chain, {}, owner_comment(spec.owner)}).flush_chain(chain);
  for (const Prefix& prefix : mapping.sources) {
    if (prefix.address.family() != family) continue;
    const NftVerdict verdict = passed(spec, family);
    transaction.append_rule(
        chain, prefix.is_default()
                   ? nft_rule({{verdict}})
                   : nft_rule({nft_match_address(source, prefix.network(), true), {verdict}}));
  }
  transaction.append_rule(chain, refusal());
}

struct Guard {
  PortMapping mapping;
  std::string chain;
};

std::vector<Guard> guards_of(const PortMapSpec& spec, Family family) {
  const bool has_conditions = !conditions_of(spec, family).empty();
  std::vector<Guard> out;
  std::size_t number = 0;
  for (const PortMapping& mapping : mappings_of(spec, family)) {
    if (!mapping.sources.empty()) {
      out.push_back({mapping, sources_chain(spec.owner, number)});
    } else if (has_conditions) {
      out.push_back({mapping, conditions_chain(spec.owner)});
    }
    ++number;
  }
  return out;
}

Error no_nft(Family family) {
  const std::string_view key = family == Family::kIpv4 ? "conditionsV4" : "conditionsV6";
  return Error(
      Code::kDelegateFailed,
      cat(key, " in the words of nft need the program nft, which is neither in PATH nor in ",
          kUsualFolders),
      "install nftables, or use sourceRanges of the mappings instead");
}

}  // namespace

std::size_t count_guards(const PortMapSpec& spec, Family family) {
  return guards_of(spec, family).size();
}

void add_guards(NftTransaction& transaction, const PortMapSpec& spec, Family family) {
  if (!conditions_of(spec, family).empty()) {
    const std::string chain = conditions_chain(spec.owner);
    transaction.add_chain({chain, {}, owner_comment(spec.owner)}).flush_chain(chain);
    transaction.append_rule(chain, refusal());
  }
  for (const Guard& guard : guards_of(spec, family)) {
    if (!guard.mapping.sources.empty()) {
      add_sources_chain(transaction, spec, family, guard.chain, guard.mapping);
    }
    const NftVerdict jump{NftVerdict::Kind::kJump, guard.chain};
    transaction.add_element(guarded_map_of(guard.mapping),
                            {key_of(guard.mapping), {}, jump, owner_comment(spec.owner)},
                            NftCreate::kExclusive);
  }
}

void add_conditions(const PortMapSpec& spec, Family family) {
  const std::vector<std::string>& words = conditions_of(spec, family);
  if (words.empty() || mappings_of(spec, family).empty()) return;
  const auto program = os::find_program("nft", cat(spec.search_path, ':', kUsualFolders));
  if (!program) throw no_nft(family);

  const std::string chain = conditions_chain(spec.owner);
  std::string rule = cat("insert rule ", table(family).to_string(), ' ', chain);
  for (const std::string& word : words) rule += cat(' ', word);
  const os::Exit exit = os::run({.path = *program,
                                 .argv = {*program, "-f", "-"},
                                 .input = cat(rule, " return\n"),
                                 .environment = std::nullopt});
  if (exit.ok()) return;
  throw Error(
      Code::kInvalidNetworkConfig,
      cat("nft refuses the conditions of the published ports (", exit.describe(), "): ", rule),
      exit.err);
}

void delete_guards(netlink::Socket& socket, NftTransaction& transaction, std::string_view digest,
                   Family family) {
  // Those of sources go first: they lead to that of the conditions.
  const std::vector<std::string> chains =
      nft_list_chains(socket, table(family), guard_prefix(digest));
  for (const std::string& chain : chains) transaction.flush_chain(chain);
  for (const std::string& chain : chains) transaction.delete_chain(chain);
}

std::string describe_missing_guard(netlink::Socket& socket, const PortMapSpec& spec,
                                   Family family) {
  const std::string where = table(family).to_string();
  for (const Guard& guard : guards_of(spec, family)) {
    const std::string_view map = guarded_map_of(guard.mapping);
    const auto element = nft_find_element(socket, table(family), map, key_of(guard.mapping));
    const bool leads_there = element && element->verdict && element->verdict->chain == guard.chain;
    if (!leads_there) {
      return cat("nftables map ", where, ' ', map, " does not lead to chain ", guard.chain);
    }
    // At least one that lets pass, and the one that refuses the rest.
    constexpr std::size_t kLeast = 2;
    if (nft_list_rules(socket, table(family), guard.chain).size() < kLeast) {
      return cat("rules of nftables chain ", where, ' ', guard.chain, " are missing");
    }
  }
  return {};
}

}  // namespace cni::netfilter::published
