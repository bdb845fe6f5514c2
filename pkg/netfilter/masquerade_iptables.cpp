#include <algorithm>

#include "pkg/netfilter/masquerade_backends.hpp"
#include "pkg/netfilter/nat_table.hpp"
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

// True if a rule for that source is of one of the addresses, also in the form "address/length" of
// older reference plugins.
bool is_source_of(const std::vector<Prefix>& addresses, const std::optional<Ip>& source) {
  return std::any_of(addresses.begin(), addresses.end(), [&](const Prefix& address) {
    return source == address.address || source == address.network().address;
  });
}

// The attachment's jumps, and the chain unless the same container has another interface in this
// network.
NatRemoval plan_removal(NatTable& table, const MasqueradeSpec& spec, Family family) {
  const std::string chain = chain_of(spec);
  const std::vector<Prefix> addresses = addresses_of(spec, family);
  NatRemoval out;
  if (!table.has_chain(chain)) return out;
  bool has_others = false;
  for (NatRule& rule : table.rules(kPostrouting)) {
    if (rule.target != chain) continue;
    if (spec.addresses.empty() || is_source_of(addresses, rule.source)) {
      out.rules.push_back({std::string(kPostrouting), std::move(rule)});
    } else {
      has_others = true;
    }
  }
  if (!has_others) out.chains.push_back(chain);
  return out;
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

NatRemoval plan_gc(NatTable& table, std::string_view network, const ChainNames& kept) {
  const std::string comment = network_comment(network);
  NatRemoval out;
  for (std::string& chain : table.chains(kChainPrefix)) {
    if (!is_masquerade_chain(chain) || is_in(kept, chain)) continue;
    const std::vector<NatRule> rules = table.rules(chain);
    const bool is_of_network = std::any_of(rules.begin(), rules.end(), [&](const NatRule& rule) {
      return rule.comment.starts_with(comment);
    });
    if (is_of_network) out.chains.push_back(std::move(chain));
  }
  if (out.chains.empty()) return out;
  for (NatRule& jump : table.rules(kPostrouting)) {
    if (!is_in(out.chains, jump.target)) continue;
    out.rules.push_back({std::string(kPostrouting), std::move(jump)});
  }
  return out;
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
  return nat_table_over_netlink(socket, family)->has_chain(chain_of(spec)) ||
         legacy_iptables_has(family, kTable);
}

void IptablesMasquerading::remove(netlink::Socket* socket, const MasqueradeSpec& spec) {
  for_each_nat_table(socket, spec.search_path, [&](Family family, const ReadNatTable& read) {
    remove_from_nat_table(
        read, [&](NatTable& table) { return plan_removal(table, spec, family); },
        cat("remove chain ", chain_of(spec), " from table nat"));
  });
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
  for_each_nat_table(socket, search_path, [&](Family /*family*/, const ReadNatTable& read) {
    remove_from_nat_table(
        read, [&](NatTable& table) { return plan_gc(table, network, kept); },
        cat("remove the masquerade of network ", network, "'s containers that are gone"));
  });
}

}  // namespace cni::netfilter
