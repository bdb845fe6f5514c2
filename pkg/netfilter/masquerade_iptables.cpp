#include <algorithm>
#include <cerrno>

#include "pkg/netfilter/masquerade_backends.hpp"
#include "pkg/netfilter/nft.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/hash.hpp"

namespace cni::netfilter {
namespace {

constexpr std::string_view kTable = "nat";
constexpr std::string_view kPostrouting = "POSTROUTING";
constexpr std::string_view kChainPrefix = "CNI-";
constexpr std::size_t kChainLength = 28;
// What iptables accepts as a comment.
constexpr std::size_t kMaxComment = 255;
constexpr int kMaxAttempts = 16;

// What iptables over nf_tables calls its nat table.
NftTable nat_table(Family family) {
  return {family == Family::kIpv4 ? NftFamily::kIpv4 : NftFamily::kIpv6, std::string(kTable)};
}

std::string chain_of(const MasqueradeSpec& spec) {
  return masquerade_chain_name(spec.network, spec.container_id);
}

std::string network_comment(std::string_view network) {
  return cat("name: ", quote(network), " id: ");
}

std::string comment_match(const MasqueradeSpec& spec) {
  const std::string comment = cat(network_comment(spec.network), quote(spec.container_id));
  return cat(" -m comment --comment ", iptables_quoted(comment.substr(0, kMaxComment)));
}

// The rules of one attachment, each as "CHAIN specification", in their order.
struct Rules {
  std::vector<std::string> accept;  // within the subnets; before masquerade
  std::string masquerade;
  std::vector<std::string> jump;  // from POSTROUTING

  std::vector<std::string> all() const {
    std::vector<std::string> out = accept;
    out.push_back(masquerade);
    out.insert(out.end(), jump.begin(), jump.end());
    return out;
  }
};

Rules rules_of(const MasqueradeSpec& spec, Family family) {
  const std::string chain = chain_of(spec);
  const std::string comment = comment_match(spec);
  const std::string_view multicast = family == Family::kIpv4 ? "224.0.0.0/4" : "ff00::/8";
  Rules out;
  for (const Prefix& address : addresses_of(spec, family)) {
    std::string accept = cat(chain, " -d ", address.network().to_string(), comment, " -j ACCEPT");
    if (std::find(out.accept.begin(), out.accept.end(), accept) == out.accept.end()) {
      out.accept.push_back(std::move(accept));
    }
    out.jump.push_back(cat(kPostrouting, " -s ", Prefix::host(address.address).to_string(), comment,
                           " -j ", chain));
  }
  out.masquerade = cat(chain, " ! -d ", multicast, comment, " -j MASQUERADE");
  return out;
}

std::string first_line(std::string_view text) {
  const std::size_t start = text.find_first_not_of("\n ");
  if (start == std::string_view::npos) return {};
  return std::string(text.substr(start, text.find('\n', start) - start));
}

Error refused(const Iptables& iptables, std::string_view operation, const os::Exit& exit) {
  return Error(Code::kDelegateFailed,
               cat(operation, " with ", iptables.name(), ": ", exit.describe()), exit.err);
}

bool has_rule(const Iptables& iptables, const std::string& rule) {
  return iptables.has_rules(kTable, {&rule, 1});
}

// For a chain that exists: what is missing of the attachment's rules. ACCEPT has to stay before
// MASQUERADE.
std::vector<std::string> missing_lines(const Iptables& iptables, const Rules& rules) {
  std::vector<std::string> out;
  for (const std::string& rule : rules.accept) {
    if (!has_rule(iptables, rule)) out.push_back(cat("-I ", rule));
  }
  std::vector<std::string> appended = rules.jump;
  appended.insert(appended.begin(), rules.masquerade);
  for (const std::string& rule : appended) {
    if (!has_rule(iptables, rule)) out.push_back(cat("-A ", rule));
  }
  return out;
}

// True if a POSTROUTING rule for that source (the octets it is compared with, shorter for whole
// octets of a prefix) is of one of the addresses, also in the form "address/length" of older
// reference plugins.
bool is_source_of(const std::vector<Prefix>& addresses, std::string_view source) {
  return std::any_of(addresses.begin(), addresses.end(), [&](const Prefix& address) {
    const auto octets = [](const Ip& ip) {
      return std::string(reinterpret_cast<const char*>(ip.data()), ip.size());
    };
    return source == octets(address.address) ||
           source == octets(address.network().address).substr(0, source.size());
  });
}

// False if the table was changed by others so that it is not known whether all of it is gone.
bool remove_from_nf_tables(netlink::Socket& socket, Family family, const MasqueradeSpec& spec) {
  const NftTable table = nat_table(family);
  const std::string chain = chain_of(spec);
  const std::vector<Prefix> addresses = addresses_of(spec, family);
  NftTransaction transaction(table);
  bool has_others = false;
  const NftRuleGlimpse jumps = nft_glimpse_rules(socket, table, kPostrouting);
  for (const NftRuleInfo& rule : jumps.rules) {
    if (rule.target != chain) continue;
    if (spec.addresses.empty() || is_source_of(addresses, rule.source)) {
      transaction.delete_rule(kPostrouting, rule.handle);
    } else {
      // The same container has another interface in this network.
      has_others = true;
    }
  }
  // The kernel does not delete a chain that a jump leads to: then none was overlooked.
  if (!has_others) transaction.flush_chain(chain).delete_chain(chain);
  transaction.commit(socket, cat("remove chain ", chain, " from ", table.to_string()));
  return !has_others || jumps.complete;
}

void remove_until_gone(netlink::Socket& socket, Family family, const MasqueradeSpec& spec) {
  for (int attempt = 0; nft_chain_use(socket, nat_table(family), chain_of(spec)); ++attempt) {
    try {
      if (remove_from_nf_tables(socket, family, spec)) return;
      if (attempt == kMaxAttempts) {
        throw Error(Code::kTryAgainLater, cat("remove the rules of chain ", chain_of(spec),
                                              ": the list kept changing while it was read"));
      }
    } catch (const Error& error) {
      // Somebody else removed a part of it meanwhile, or kept us from seeing all of it.
      const bool changed = error.sys_errno == ENOENT || error.sys_errno == EBUSY;
      if (!changed || attempt == kMaxAttempts) throw;
    }
  }
}

// "10.1.0.2/32" of a line of -S; empty without a source.
std::string_view source_of(std::string_view line) {
  const std::size_t start = line.find(" -s ");
  if (start == std::string_view::npos) return {};
  const std::string_view rest = line.substr(start + 4);
  return rest.substr(0, rest.find(' '));
}

bool is_legacy_source_of(const std::vector<Prefix>& addresses, std::string_view source) {
  return std::any_of(addresses.begin(), addresses.end(), [&](const Prefix& address) {
    return source == Prefix::host(address.address).to_string() ||
           source == address.network().to_string();
  });
}

// With the programs of the older implementation, whose rules netlink does not show.
void remove_from_legacy(Family family, const MasqueradeSpec& spec) {
  const Iptables iptables(family, spec.search_path, IptablesVariant::kLegacy);
  if (!iptables.is_installed()) return;
  const std::string chain = chain_of(spec);
  const std::vector<Prefix> addresses = addresses_of(spec, family);
  const std::vector<std::string> end = {cat("-F ", chain), cat("-X ", chain)};

  std::vector<std::string> lines;
  for (const std::string& rule : rules_of(spec, family).jump) lines.push_back(cat("-D ", rule));
  lines.insert(lines.end(), end.begin(), end.end());
  if (!addresses.empty() && iptables.restore(kTable, lines).ok()) return;

  lines.clear();
  bool has_others = false;
  for (const std::string& line : iptables.list(kTable, kPostrouting)) {
    if (!line.ends_with(cat(" -j ", chain))) continue;
    if (spec.addresses.empty() || is_legacy_source_of(addresses, source_of(line))) {
      lines.push_back(cat("-D ", line.substr(3)));
    } else {
      has_others = true;
    }
  }
  const bool has_chain = iptables.run(kTable, {"-S", chain}).ok();
  if (has_chain && !has_others) lines.insert(lines.end(), end.begin(), end.end());
  if (lines.empty()) return;
  const os::Exit exit = iptables.restore(kTable, lines);
  if (!exit.ok()) throw refused(iptables, cat("remove chain ", chain), exit);
}

bool is_masquerade_chain(std::string_view name) {
  return name.size() == kChainLength && name.starts_with(kChainPrefix) &&
         name.find('-', kChainPrefix.size()) == std::string_view::npos;
}

using ChainNames = std::vector<std::string>;

// The chains of the network's containers that are to stay.
ChainNames valid_chains(std::string_view network, std::span<const Attachment> valid) {
  ChainNames out;
  for (const Attachment& one : valid) {
    out.push_back(masquerade_chain_name(network, one.container_id));
  }
  return out;
}

bool is_in(const ChainNames& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void gc_nf_tables(netlink::Socket& socket, Family family, std::string_view network,
                  const ChainNames& kept) {
  const NftTable table = nat_table(family);
  const std::string comment = network_comment(network);
  const std::vector<NftRuleInfo> jumps = nft_list_rules(socket, table, kPostrouting);
  for (const std::string& chain : nft_list_chains(socket, table, kChainPrefix)) {
    if (!is_masquerade_chain(chain) || is_in(kept, chain)) continue;
    const std::vector<NftRuleInfo> rules = nft_list_rules(socket, table, chain);
    if (std::none_of(rules.begin(), rules.end(),
                     [&](const NftRuleInfo& rule) { return rule.comment.starts_with(comment); })) {
      continue;  // of another network
    }
    NftTransaction transaction(table);
    for (const NftRuleInfo& jump : jumps) {
      if (jump.target == chain) transaction.delete_rule(kPostrouting, jump.handle);
    }
    transaction.flush_chain(chain).delete_chain(chain);
    transaction.commit(socket, cat("remove chain ", chain, " from ", table.to_string()));
  }
}

// "CNI-..." of `-A CNI-... ` or `... -j CNI-...`; empty without.
std::string chain_in(const std::string& line) {
  for (const std::string_view before : {"-A ", " -j "}) {
    const std::size_t start = line.find(cat(before, kChainPrefix));
    if (start == std::string::npos) continue;
    std::string name = line.substr(start + before.size(), kChainLength);
    if (is_masquerade_chain(name)) return name;
  }
  return {};
}

void gc_legacy(Family family, std::string_view network, const ChainNames& kept,
               std::string_view search_path) {
  const Iptables iptables(family, search_path, IptablesVariant::kLegacy);
  if (!iptables.is_installed()) return;
  const std::string comment = iptables_quoted(network_comment(network));
  const std::string wanted = comment.substr(0, comment.size() - 1);
  std::vector<std::string> lines;
  ChainNames stale;
  for (const std::string& line : iptables.list(kTable, {})) {
    const std::string chain = chain_in(line);
    if (chain.empty() || is_in(kept, chain) || line.find(wanted) == std::string::npos) continue;
    if (line.starts_with(cat("-A ", kPostrouting))) lines.push_back(cat("-D ", line.substr(3)));
    if (!is_in(stale, chain)) stale.push_back(chain);
  }
  for (const std::string& chain : stale) {
    lines.push_back(cat("-F ", chain));
    lines.push_back(cat("-X ", chain));
  }
  if (lines.empty()) return;
  const os::Exit exit = iptables.restore(kTable, lines);
  if (!exit.ok()) throw refused(iptables, "remove chains of containers that are gone", exit);
}

}  // namespace

void IptablesMasquerading::add(const Iptables& iptables, Family family,
                               const MasqueradeSpec& spec) {
  const Rules rules = rules_of(spec, family);
  const std::string chain = chain_of(spec);
  const std::string create = cat("-N ", chain);
  std::vector<std::string> lines = {create};
  for (const std::string& rule : rules.all()) lines.push_back(cat("-A ", rule));
  const os::Exit exit = iptables.restore(kTable, lines);
  if (exit.ok()) return;

  // The chain exists if the container has another interface in the network, or an earlier ADD was
  // killed.
  if (!iptables.run(kTable, {"-S", chain}).ok()) {
    throw refused(iptables, cat("masquerade (", first_line(exit.err), ")"), exit);
  }
  const std::vector<std::string> missing = missing_lines(iptables, rules);
  if (missing.empty()) return;
  const os::Exit second = iptables.restore(kTable, missing);
  if (!second.ok()) {
    throw refused(iptables, cat("masquerade (", first_line(second.err), ")"), second);
  }
}

bool IptablesMasquerading::has_chain(netlink::Socket& socket, Family family,
                                     const MasqueradeSpec& spec) {
  return nft_chain_use(socket, nat_table(family), chain_of(spec)).has_value() ||
         legacy_iptables_has(family, kTable);
}

void IptablesMasquerading::remove(netlink::Socket* socket, const MasqueradeSpec& spec) {
  ErrorList errors;
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    if (socket != nullptr) errors.run([&] { remove_until_gone(*socket, family, spec); });
    const bool is_concerned = spec.addresses.empty() || !addresses_of(spec, family).empty();
    if (is_concerned && legacy_iptables_has(family, kTable)) {
      errors.run([&] { remove_from_legacy(family, spec); });
    }
  }
  errors.throw_if_any();
}

void IptablesMasquerading::check(const Iptables& iptables, Family family,
                                 const MasqueradeSpec& spec) {
  for (const std::string& rule : rules_of(spec, family).all()) {
    if (has_rule(iptables, rule)) continue;
    throw Error(Code::kCheckFailed,
                cat("masquerade (network ", spec.network, ", container ", spec.container_id, ", ",
                    spec.ifname, "): ", iptables.name(), " rule is missing in table nat: ", rule));
  }
}

void IptablesMasquerading::gc(netlink::Socket* socket, std::string_view network,
                              std::span<const Attachment> valid, std::string_view search_path) {
  const ChainNames kept = valid_chains(network, valid);
  ErrorList errors;
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    if (socket != nullptr) errors.run([&] { gc_nf_tables(*socket, family, network, kept); });
    if (legacy_iptables_has(family, kTable)) {
      errors.run([&] { gc_legacy(family, network, kept, search_path); });
    }
  }
  errors.throw_if_any();
}

}  // namespace cni::netfilter
