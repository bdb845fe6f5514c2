#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "pkg/netfilter/firewall_backends.hpp"
#include "pkg/netfilter/firewall_state.hpp"
#include "pkg/netfilter/iptables_rules.hpp"
#include "pkg/netfilter/nft.hpp"
#include "pkg/netfilter/races.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {
namespace {

constexpr std::string_view kTable = "filter";
constexpr std::string_view kForward = "FORWARD";
constexpr std::string_view kAccepting = "CNI-FORWARD";
// What leaves a bridge that has a policy goes from the first to the second, where what would enter
// another such bridge is dropped.
constexpr std::string_view kLeaving = "CNI-ISOLATION-STAGE-1";
constexpr std::string_view kEntering = "CNI-ISOLATION-STAGE-2";
constexpr std::array kFamilies = {Family::kIpv4, Family::kIpv6};
// Changes by other programs, between our look and iptables' own, that are put up with.
constexpr int kMaxAttempts = 4;

std::string comment(std::string_view text) {
  return cat("-m comment --comment ", iptables_quoted(text), ' ');
}

std::string policy_comment(std::string_view policies) {
  return comment(cat("CNI firewall plugin rules (ingressPolicy: ", policies, ")"));
}

std::string any_policy_comment() { return policy_comment("same-bridge|isolated"); }

// The rules, word for word those of the reference plugins.
std::string jump_to_accepting() {
  return cat(comment("CNI firewall plugin rules"), "-j ", kAccepting);
}
std::string jump_to_admin(const FirewallSpec& spec) {
  return cat(comment("CNI firewall plugin admin overrides"), "-j ", spec.admin_chain);
}
std::string accept_answers(const Ip& address) {
  return cat("-d ", Prefix::host(address).to_string(),
             " -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
}
std::string accept_from(const Ip& address) {
  return cat("-s ", Prefix::host(address).to_string(), " -j ACCEPT");
}
std::string jump_to_leaving() { return cat(any_policy_comment(), "-j ", kLeaving); }
std::string leave(std::string_view bridge, IngressPolicy policy) {
  return cat("-i ", bridge, " ! -o ", bridge, ' ', policy_comment(to_string(policy)), "-j ",
             kEntering);
}
std::string drop_within(std::string_view bridge) {
  return cat("-i ", bridge, " -o ", bridge, ' ',
             policy_comment(to_string(IngressPolicy::kIsolated)), "-j DROP");
}
constexpr std::string_view kDropEnd = "-j DROP";
std::string drop_entering(std::string_view bridge) {
  return cat("-o ", bridge, ' ', any_policy_comment(), kDropEnd);
}
std::string go_back() { return cat(any_policy_comment(), "-j RETURN"); }

// A rule that has to be there; where it is not, it is put first or last.
struct Rule {
  std::string chain;
  std::string text;
  enum class Place { kFirst, kLast } place = Place::kLast;
};

using Rules = std::vector<Rule>;
using Part = IptablesFirewall::Part;

void append_accepting(const FirewallSpec& spec, Family family, Rules& out) {
  out.push_back({std::string(kForward), jump_to_accepting(), Rule::Place::kFirst});
  out.push_back({std::string(kAccepting), jump_to_admin(spec), Rule::Place::kFirst});
  for (const Ip& address : addresses_of(spec, family)) {
    out.push_back({std::string(kAccepting), accept_answers(address)});
    out.push_back({std::string(kAccepting), accept_from(address)});
  }
}

// Of two that are put first, the later one ends up before the other.
void append_policy(const FirewallSpec& spec, Rules& out) {
  const auto first = Rule::Place::kFirst;
  out.push_back({std::string(kLeaving), leave(spec.bridge, spec.ingress_policy), first});
  if (spec.ingress_policy == IngressPolicy::kIsolated) {
    out.push_back({std::string(kLeaving), drop_within(spec.bridge), first});
  }
  out.push_back({std::string(kLeaving), go_back()});
  out.push_back({std::string(kEntering), drop_entering(spec.bridge), first});
  out.push_back({std::string(kEntering), go_back()});
  out.push_back({std::string(kForward), jump_to_leaving(), first});
}

Rules rules_of(const FirewallSpec& spec, Family family, Part part) {
  Rules out;
  if (part == Part::kAll) append_accepting(spec, family, out);
  if (spec.ingress_policy != IngressPolicy::kOpen) append_policy(spec, out);
  return out;
}

std::vector<std::string> chains_of(const FirewallSpec& spec) {
  return {std::string(kForward), std::string(kAccepting), spec.admin_chain, std::string(kLeaving),
          std::string(kEntering)};
}

// What is there, without running a program where netlink tells.
IptablesChains look(netlink::Socket* socket, const Iptables& iptables, Family family,
                    const FirewallSpec& spec) {
  const bool has_legacy = legacy_iptables_has(family, kTable);
  if (socket != nullptr) {
    auto out = IptablesChains::over_netlink(*socket, family, kTable, chains_of(spec));
    if (!has_legacy || out.has(kAccepting) || out.has(kLeaving)) return out;
  }
  return IptablesChains::from_program(iptables, kTable);
}

// What iptables-restore has to do. Chains come first, as rules jump to them.
std::vector<std::string> missing_lines(const IptablesChains& there, const FirewallSpec& spec,
                                       const Rules& rules) {
  std::vector<std::string> chains;
  std::vector<std::string> lines;
  const auto need = [&](const std::string& chain) {
    const std::string line = cat("-N ", chain);
    const bool is_new = chain != kForward && !there.has(chain) &&
                        std::find(chains.begin(), chains.end(), line) == chains.end();
    if (is_new) chains.push_back(line);
  };
  for (const Rule& rule : rules) {
    need(rule.chain);
    if (rule.chain == kAccepting) need(spec.admin_chain);
    if (there.find(rule.chain, rule.text)) continue;
    lines.push_back(
        cat(rule.place == Rule::Place::kFirst ? "-I " : "-A ", rule.chain, ' ', rule.text));
    // Policies stay in front of what accepts.
    const bool is_overtaking =
        rule.text == jump_to_accepting() && there.find(kForward, jump_to_leaving()).has_value();
    if (!is_overtaking) continue;
    lines.push_back(cat("-D ", kForward, ' ', jump_to_leaving()));
    lines.push_back(cat("-I ", kForward, ' ', jump_to_leaving()));
  }
  chains.insert(chains.end(), lines.begin(), lines.end());
  return chains;
}

Error refused(const Iptables& iptables, std::string_view operation, const os::Exit& exit) {
  return {Code::kDelegateFailed, cat(operation, " with ", iptables.name(), ": ", exit.describe()),
          exit.err};
}

void add_to_family(netlink::Socket* socket, const FirewallSpec& spec, Family family, Part part) {
  const Rules rules = rules_of(spec, family, part);
  if (rules.empty()) return;
  const Iptables iptables(family, spec.search_path);
  IptablesChains there = look(socket, iptables, family, spec);
  for (int attempt = 0;; ++attempt) {
    const auto lines = missing_lines(there, spec, rules);
    if (lines.empty()) return;
    const os::Exit exit = iptables.restore(kTable, lines);
    if (exit.ok()) return;
    if (attempt == kMaxAttempts) {
      throw refused(iptables, cat("add firewall rules of ", spec.owner.to_string()), exit);
    }
    // Another program has made a chain meanwhile, or the rules are in the other implementation.
    there = IptablesChains::from_program(iptables, kTable);
  }
}

// Null if all are there.
const Rule* first_missing(const IptablesChains& there, const Rules& rules) {
  const auto found = std::find_if(rules.begin(), rules.end(), [&](const Rule& rule) {
    return !there.find(rule.chain, rule.text);
  });
  return found == rules.end() ? nullptr : &*found;
}

// What is to be deleted, found in one look.
struct Deletion {
  std::vector<std::pair<std::string, IptablesRule>> rules;  // with their chains
  std::vector<std::string> chains;

  bool empty() const { return rules.empty() && chains.empty(); }

  // Returns how many rules of the chain are left.
  std::size_t take(const IptablesChains& there, std::string_view chain,
                   const std::vector<std::string>& texts) {
    std::size_t left = 0;
    for (const IptablesRule& rule : there.rules(chain)) {
      if (std::find(texts.begin(), texts.end(), rule.text) != texts.end()) {
        rules.emplace_back(chain, rule);
      } else {
        ++left;
      }
    }
    return left;
  }
};

std::vector<std::string> texts_leaving(const IptablesFirewall::Removal& what) {
  std::vector<std::string> out;
  for (const IngressPolicy policy : what.policies) {
    out.push_back(leave(what.bridge, policy));
    if (policy == IngressPolicy::kIsolated) out.push_back(drop_within(what.bridge));
  }
  return out;
}

// The last policy takes the chains with it.
void take_policies(const IptablesChains& there, const IptablesFirewall::Removal& what,
                   Deletion& out) {
  std::vector<std::string> entering;
  if (what.is_bridge_free) entering.push_back(drop_entering(what.bridge));
  const std::vector<std::string> leaving = texts_leaving(what);
  const auto others_in = [&](std::string_view chain, const std::vector<std::string>& texts) {
    const auto rules = there.rules(chain);
    return std::any_of(rules.begin(), rules.end(), [&](const IptablesRule& rule) {
      return rule.text != go_back() &&
             std::find(texts.begin(), texts.end(), rule.text) == texts.end();
    });
  };
  const bool is_last = !others_in(kLeaving, leaving) && !others_in(kEntering, entering);
  auto all_leaving = leaving;
  auto all_entering = entering;
  if (is_last) {
    (void)out.take(there, kForward, {jump_to_leaving()});
    all_leaving.push_back(go_back());
    all_entering.push_back(go_back());
  }
  (void)out.take(there, kLeaving, all_leaving);
  (void)out.take(there, kEntering, all_entering);
  for (const std::string_view chain : {kLeaving, kEntering}) {
    if (is_last && there.has(chain)) out.chains.emplace_back(chain);
  }
}

Deletion deletion_of(const IptablesChains& there, const IptablesFirewall::Removal& what,
                     Family family) {
  Deletion out;
  std::vector<std::string> texts;
  for (const Ip& address : what.addresses) {
    if (address.family() != family) continue;
    texts.push_back(accept_answers(address));
    texts.push_back(accept_from(address));
  }
  if (!texts.empty()) (void)out.take(there, kAccepting, texts);
  if (!what.policies.empty()) take_policies(there, what, out);
  return out;
}

std::vector<std::string> chains_of(const IptablesFirewall::Removal& what, Family family) {
  std::vector<std::string> out;
  if (std::any_of(what.addresses.begin(), what.addresses.end(),
                  [&](const Ip& address) { return address.family() == family; })) {
    out.emplace_back(kAccepting);
  }
  if (!what.policies.empty()) {
    for (const std::string_view chain : {kForward, kLeaving, kEntering}) out.emplace_back(chain);
  }
  return out;
}

void remove_from_nf_tables(netlink::Socket& socket, Family family,
                           const IptablesFirewall::Removal& what) {
  const std::vector<std::string> names = chains_of(what, family);
  const NftTable table = iptables_nft_table(family, kTable);
  for (int attempt = 0;; ++attempt) {
    const auto there = IptablesChains::over_netlink(socket, family, kTable, names);
    const Deletion deletion = deletion_of(there, what, family);
    if (deletion.empty()) return;
    NftTransaction transaction(table);
    for (const auto& [chain, rule] : deletion.rules) transaction.delete_rule(chain, rule.handle);
    for (const std::string& chain : deletion.chains) transaction.delete_chain(chain);
    try {
      transaction.commit(socket, cat("remove firewall rules from ", table.to_string()));
      return;
    } catch (const Error& error) {
      // Others have removed one of these meanwhile, or put another rule into a chain.
      const bool changed = error.sys_errno == ENOENT || error.sys_errno == EBUSY;
      if (!changed || attempt == kMaxAttempts) throw;
    }
  }
}

// With the programs of the older implementation, whose rules netlink does not show.
void remove_from_legacy(Family family, const IptablesFirewall::Removal& what) {
  const Iptables iptables(family, what.search_path, IptablesVariant::kLegacy);
  if (!iptables.is_installed()) return;
  for (int attempt = 0;; ++attempt) {
    const auto there = IptablesChains::from_program(iptables, kTable);
    const Deletion deletion = deletion_of(there, what, family);
    if (deletion.empty()) return;
    std::vector<std::string> lines;
    for (const auto& [chain, rule] : deletion.rules) {
      lines.push_back(cat("-D ", chain, ' ', rule.text));
    }
    for (const std::string& chain : deletion.chains) lines.push_back(cat("-X ", chain));
    const os::Exit exit = iptables.restore(kTable, lines);
    if (exit.ok()) return;
    if (attempt == kMaxAttempts) throw refused(iptables, "remove firewall rules", exit);
  }
}

void append_bridges(const IptablesChains& there, std::vector<std::string>& out) {
  constexpr std::string_view kStart = "-o ";
  for (const IptablesRule& rule : there.rules(kEntering)) {
    if (!rule.text.starts_with(kStart)) continue;
    std::string bridge =
        rule.text.substr(kStart.size(), rule.text.find(' ', kStart.size()) - kStart.size());
    const bool is_new = std::find(out.begin(), out.end(), bridge) == out.end();
    if (is_new && rule.text == drop_entering(bridge)) out.push_back(std::move(bridge));
  }
}

}  // namespace

std::vector<Ip> addresses_of(const FirewallSpec& spec, Family family) {
  std::vector<Ip> out;
  for (const Ip& address : spec.addresses) {
    if (address.family() == family) out.push_back(address);
  }
  return out;
}

void IptablesFirewall::add(netlink::Socket* socket, const FirewallSpec& spec, Part part) {
  for (const Family family : kFamilies) {
    if (!addresses_of(spec, family).empty()) add_to_family(socket, spec, family, part);
  }
}

void IptablesFirewall::remove(netlink::Socket* socket, const Removal& what) {
  ErrorList errors;
  for (const Family family : kFamilies) {
    if (chains_of(what, family).empty()) continue;
    if (socket != nullptr) errors.run([&] { remove_from_nf_tables(*socket, family, what); });
    if (legacy_iptables_has(family, kTable)) {
      errors.run([&] { remove_from_legacy(family, what); });
    }
  }
  errors.throw_if_any();
}

void IptablesFirewall::check(netlink::Socket* socket, const FirewallSpec& spec, Part part) {
  for (const Family family : kFamilies) {
    if (addresses_of(spec, family).empty()) continue;
    const Rules rules = rules_of(spec, family, part);
    const Iptables iptables(family, spec.search_path);
    const Rule* missing = first_missing(look(socket, iptables, family, spec), rules);
    // A host that was switched from one implementation to the other has chains in both.
    if (missing != nullptr && legacy_iptables_has(family, kTable)) {
      missing = first_missing(IptablesChains::from_program(iptables, kTable), rules);
    }
    if (missing == nullptr) continue;
    throw Error(Code::kCheckFailed,
                cat("expected rule [", missing->text, "] not found in chain ", missing->chain,
                    " of table filter of ", iptables.name(), " for ", spec.owner.to_string()));
  }
}

std::vector<std::string> IptablesFirewall::bridges_with_policy(netlink::Socket* socket,
                                                               std::string_view search_path) {
  const std::vector<std::string> names = {std::string(kEntering)};
  std::vector<std::string> out;
  for (const Family family : kFamilies) {
    if (socket != nullptr) {
      append_bridges(IptablesChains::over_netlink(*socket, family, kTable, names), out);
    }
    if (!legacy_iptables_has(family, kTable)) continue;
    const Iptables iptables(family, search_path, IptablesVariant::kLegacy);
    if (iptables.is_installed())
      append_bridges(IptablesChains::from_program(iptables, kTable), out);
  }
  return out;
}

bool IptablesFirewall::has_rules(netlink::Socket* socket, Family family) {
  if (legacy_iptables_has(family, kTable)) return true;
  return socket != nullptr &&
         nft_chain_use(*socket, iptables_nft_table(family, kTable), kAccepting).has_value();
}

}  // namespace cni::netfilter
