#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "pkg/netfilter/nat_table.hpp"
#include "pkg/netfilter/port_map_backends.hpp"
#include "pkg/netfilter/port_map_rules.hpp"
#include "pkg/netfilter/taken_ports.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {
namespace {

constexpr std::string_view kTable = "nat";
constexpr int kMaxAttempts = 16;

using NatRules = std::vector<NatRule>;
using Lines = std::vector<std::string>;

std::string chain_of(const PortMapSpec& spec) {
  return port_map_chain(spec.owner.network, spec.owner.container_id);
}

// ---- What is to be removed

// A rule of UDP in a container's chain, as connection tracking knows its packets.
void note_udp(const NatRule& rule, Family family, RemovedPorts& out) {
  if (rule.protocol != static_cast<std::uint8_t>(Transport::kUdp)) return;
  for (const std::uint16_t port : rule.ports) {
    out.push_back({.family = family, .port = port, .address = rule.destination});
  }
}

// The rules of a container's chain: those of this attachment, and those of another interface, which
// lead to another address.
struct ChainRules {
  NatRules ours;
  NatRules others;
};

ChainRules divide(NatRules rules, const PortMapSpec& spec, Family family) {
  const auto target = target_of(spec, family);
  ChainRules out;
  NatRules marking;  // what marks connections stands before the rule that sends them on
  for (NatRule& rule : rules) {
    const bool is_dnat = rule.target == kDnatExtension;
    marking.push_back(std::move(rule));
    if (!is_dnat) continue;
    const auto& leads_to = marking.back().dnat_address;
    const bool is_other =
        !spec.targets.empty() && leads_to && !(target && target->address == *leads_to);
    NatRules& where = is_other ? out.others : out.ours;
    std::move(marking.begin(), marking.end(), std::back_inserter(where));
    marking.clear();
  }
  NatRules& where = out.others.empty() ? out.ours : out.others;
  std::move(marking.begin(), marking.end(), std::back_inserter(where));
  return out;
}

using Port = std::pair<std::uint8_t, std::uint16_t>;  // with its protocol

std::set<Port> ports_of(const NatRule& rule) {
  std::set<Port> out;
  for (const std::uint16_t port : rule.ports) out.emplace(rule.protocol, port);
  return out;
}

// Of the entries to a chain, those that may go if these rules stay in it. Each holds the ports of
// one attachment, and two may have ports in common.
NatRules spare_entries(NatRules entries, const NatRules& others) {
  std::set<Port> wanted;
  for (const NatRule& rule : others) wanted.merge(ports_of(rule));
  std::set<Port> covered;
  NatRules out;
  for (NatRule& entry : entries) {
    std::set<Port> ports = ports_of(entry);
    const bool is_of_others =
        !ports.empty() && std::includes(wanted.begin(), wanted.end(), ports.begin(), ports.end());
    if (is_of_others) {
      covered.merge(ports);
    } else {
      out.push_back(std::move(entry));
    }
  }
  const auto is_needed = [&](const NatRule& entry) {
    std::set<Port> ports = ports_of(entry);
    const bool is_only_one = std::any_of(ports.begin(), ports.end(), [&](const Port& port) {
      return wanted.count(port) > 0 && covered.count(port) == 0;
    });
    if (is_only_one) covered.merge(ports);
    return is_only_one;
  };
  out.erase(std::remove_if(out.begin(), out.end(), is_needed), out.end());
  return out;
}

NatRules entries_to(NatTable& table, std::string_view from, std::string_view chain) {
  NatRules out = table.rules(from);
  out.erase(std::remove_if(out.begin(), out.end(),
                           [&](const NatRule& rule) { return rule.target != chain; }),
            out.end());
  return out;
}

void plan_old_chain(NatTable& table, const PortMapSpec& spec, NatRemoval& out) {
  const std::string chain = old_snat_chain(spec.owner.network, spec.owner.container_id);
  if (!table.has_chain(chain)) return;
  for (NatRule& entry : table.rules(kOldSnatEntries)) {
    if (entry.target == chain)
      out.rules.push_back({std::string(kOldSnatEntries), std::move(entry)});
  }
  out.chains.push_back(chain);
}

// All of the attachment; of the container, if the targets are not known.
NatRemoval plan_removal(NatTable& table, const PortMapSpec& spec, Family family,
                        RemovedPorts& ports) {
  const std::string chain = chain_of(spec);
  NatRemoval out;
  if (table.has_chain(chain)) {
    ChainRules rules = divide(table.rules(chain), spec, family);
    for (const NatRule& rule : rules.ours) {
      if (rule.target == kDnatExtension) note_udp(rule, family, ports);
    }
    const bool has_others = !rules.others.empty();
    if (has_others && rules.ours.empty()) return out;
    for (NatRule& entry : spare_entries(entries_to(table, kPortMapEntries, chain), rules.others)) {
      out.rules.push_back({std::string(kPortMapEntries), std::move(entry)});
    }
    if (has_others) {
      for (NatRule& rule : rules.ours) out.rules.push_back({chain, std::move(rule)});
    } else {
      out.chains.push_back(chain);
    }
  }
  plan_old_chain(table, spec, out);
  return out;
}

std::string removal_of(const PortMapSpec& spec) {
  return cat("remove the published ports of ", spec.owner.to_string());
}

using ChainNames = std::vector<std::string>;

bool is_in(const ChainNames& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The network's chains of containers that are not to stay.
NatRemoval plan_gc(NatTable& table, std::string_view network, const ChainNames& kept, Family family,
                   RemovedPorts& ports) {
  const std::string comment = port_map_comment_start(network);
  NatRemoval out;
  for (NatRule& entry : table.rules(kPortMapEntries)) {
    const bool is_stale = entry.target.starts_with(kPortMapChainPrefix) &&
                          entry.comment.starts_with(comment) && !is_in(kept, entry.target);
    if (!is_stale) continue;
    if (!is_in(out.chains, entry.target)) out.chains.push_back(entry.target);
    out.rules.push_back({std::string(kPortMapEntries), std::move(entry)});
  }
  for (const std::string& chain : out.chains) {
    for (const NatRule& rule : table.rules(chain)) {
      if (rule.target == kDnatExtension) note_udp(rule, family, ports);
    }
  }
  return out;
}

// ---- What ADD does

// Lines for a chain of two rules at most, each for another mark.
void append_mark_chain(NatTable& table, const Iptables& iptables, std::string_view chain,
                       unsigned bit, const std::string& rule, Lines& out) {
  if (!table.has_chain(chain)) out.push_back(cat("-N ", chain));
  bool is_unclear = false;
  for (const NatRule& there : table.rules(chain)) {
    if (there.mark == 1U << bit) return;
    if (!there.mark) is_unclear = true;
  }
  // Other releases of iptables may keep rules in another form.
  if (is_unclear && iptables.has_rules(kTable, {&rule, 1})) return;
  out.push_back(cat("-A ", rule));
}

// What the attachments share, as far as it is missing.
void append_shared(NatTable& table, const Iptables& iptables, const PortMapSpec& spec, Lines& out) {
  if (!table.has_chain(kPortMapEntries)) out.push_back(cat("-N ", kPortMapEntries));
  for (const SharedRule& jump : port_map_jumps()) {
    const NatRules rules = table.rules(jump.chain);
    const bool is_there = std::any_of(rules.begin(), rules.end(), [](const NatRule& rule) {
      return rule.target == kPortMapEntries;
    });
    if (!is_there) out.push_back(cat("-A ", jump.rule));
  }
  if (!spec.snat || !uses_own_mark(spec)) return;
  const MarkRules rules = port_map_mark_rules(spec);
  append_mark_chain(table, iptables, kPortMapSetMark, spec.mark_bit, rules.set_mark, out);
  append_mark_chain(table, iptables, kPortMapMasquerade, spec.mark_bit, rules.masquerade, out);
  if (!table.is_referred_to(kPortMapMasquerade)) out.push_back(cat("-I ", rules.jump));
}

void append_own(NatTable& table, const PortMapSpec& spec, Family family, Lines& out) {
  const std::string chain = chain_of(spec);
  Lines rules = port_map_rules(spec, family);
  const bool is_shared = table.has_chain(chain);
  if (!is_shared) {
    out.push_back(cat("-N ", chain));
  } else {
    // Another interface of the container has rules there. Ours come first: what is left of an
    // attachment that was never deleted looks the same.
    std::reverse(rules.begin(), rules.end());
  }
  for (const std::string& rule : rules) out.push_back(cat(is_shared ? "-I " : "-A ", rule));

  const NatRules there = is_shared ? table.rules(kPortMapEntries) : NatRules();
  for (const EntryRule& entry : port_map_entries(spec, family)) {
    const bool is_there = std::any_of(there.begin(), there.end(), [&](const NatRule& rule) {
      return rule.target == chain && rule.ports == entry.ports &&
             rule.protocol == static_cast<std::uint8_t>(entry.transport);
    });
    if (!is_there) out.push_back(cat("-A ", entry.rule));
  }
}

std::string first_line(std::string_view text) {
  const std::size_t start = text.find_first_not_of("\n ");
  if (start == std::string_view::npos) return {};
  return std::string(text.substr(start, text.find('\n', start) - start));
}

Error refused(const Iptables& iptables, const os::Exit& exit) {
  return Error(Code::kDelegateFailed,
               cat("publish ports (", first_line(exit.err), ") with ", iptables.name(), ": ",
                   exit.describe()),
               exit.err);
}

// The table as netlink shows it, without running a program. What the older implementation has is
// not to be seen there, so that only the program tells what is in the table that it works on.
std::unique_ptr<NatTable> read_table(const Iptables& iptables, Connection& connection,
                                     Family family, int attempt) {
  const bool is_first = attempt == 0 && !legacy_iptables_has(family, kTable);
  netlink::Socket* socket = is_first ? connection.find() : nullptr;
  return socket != nullptr ? nat_table_over_netlink(*socket, family)
                           : nat_table_by_program(iptables);
}

// ---- What CHECK does

// How many of the rules, from the first one on, are there without a gap. One execution if all are.
std::size_t count_present(const Iptables& iptables, const Lines& rules) {
  const auto are_there = [&](std::size_t count) {
    return iptables.has_rules(kTable, std::span(rules).first(count));
  };
  if (are_there(rules.size())) return rules.size();
  std::size_t present = 0;
  std::size_t missing = rules.size();
  while (missing - present > 1) {
    const std::size_t middle = present + (missing - present) / 2;
    (are_there(middle) ? present : missing) = middle;
  }
  return missing - 1;
}

// To compare one rule with a chain takes iptables over nf_tables as long as the chain is. So for
// many of them it is asked what it has, and only about those that are not among it.
void leave_out_printed(const Iptables& iptables, const std::string& chain, Lines& rules) {
  constexpr std::size_t kMany = 48;
  if (rules.size() < kMany) return;
  std::set<std::string> printed;
  for (const NatRule& rule : nat_table_by_program(iptables)->rules(chain)) {
    printed.insert(cat(chain, ' ', rule.specification));
  }
  rules.erase(std::remove_if(rules.begin(), rules.end(),
                             [&](const std::string& rule) {
                               return printed.count(printed_port_map_rule(rule)) > 0;
                             }),
              rules.end());
}

}  // namespace

void IptablesPortMap::add(const Iptables& iptables, Connection& connection, Family family,
                          const PortMapSpec& spec) {
  os::Exit exit;
  Lines refused_lines;
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    std::unique_ptr<NatTable> table = read_table(iptables, connection, family, attempt);
    refuse_taken_ports(*table, spec, family);
    RemovedPorts ports;
    const auto plan = [&](NatTable& now) { return plan_removal(now, spec, family, ports); };
    if (!plan(*table).empty()) {
      // An earlier ADD was killed, or is repeated.
      const auto read = [&] { return read_table(iptables, connection, family, attempt); };
      remove_from_nat_table(read, plan, removal_of(spec));
      table = read();
    }
    Lines lines;
    append_shared(*table, iptables, spec, lines);
    append_own(*table, spec, family, lines);
    // The same again: nobody was faster, it is refused.
    if (lines == refused_lines && !is_contended(exit)) break;
    exit = iptables.restore(kTable, lines);
    if (exit.ok()) return;
    refused_lines = std::move(lines);
  }
  throw refused(iptables, exit);
}

RemovedPorts IptablesPortMap::remove(netlink::Socket* socket, const PortMapSpec& spec) {
  RemovedPorts ports;
  for_each_nat_table(socket, spec.search_path, [&](Family family, const ReadNatTable& read) {
    remove_from_nat_table(
        read, [&](NatTable& table) { return plan_removal(table, spec, family, ports); },
        removal_of(spec));
  });
  return ports;
}

void IptablesPortMap::check(const Iptables& iptables, Family family, const PortMapSpec& spec) {
  Lines rules;
  for (const SharedRule& jump : port_map_jumps()) rules.push_back(jump.rule);
  if (spec.snat && uses_own_mark(spec)) {
    const MarkRules mark = port_map_mark_rules(spec);
    rules.insert(rules.end(), {mark.set_mark, mark.masquerade, mark.jump});
  }
  for (const EntryRule& entry : port_map_entries(spec, family)) rules.push_back(entry.rule);
  Lines own = port_map_rules(spec, family);
  leave_out_printed(iptables, chain_of(spec), own);
  rules.insert(rules.end(), own.begin(), own.end());

  const std::size_t present = count_present(iptables, rules);
  if (present == rules.size()) return;
  throw Error(Code::kCheckFailed,
              cat("published ports of ", spec.owner.to_string(), ": ", iptables.name(),
                  " rule is missing in table nat: ", rules[present]));
}

RemovedPorts IptablesPortMap::gc(netlink::Socket* socket, std::string_view network,
                                 std::span<const Attachment> valid, std::string_view search_path) {
  ChainNames kept;
  for (const Attachment& one : valid) kept.push_back(port_map_chain(network, one.container_id));
  RemovedPorts ports;
  for_each_nat_table(socket, search_path, [&](Family family, const ReadNatTable& read) {
    remove_from_nat_table(
        read, [&](NatTable& table) { return plan_gc(table, network, kept, family, ports); },
        cat("remove published ports of network ", network, " whose containers are gone"));
  });
  return ports;
}

bool IptablesPortMap::has_chain(netlink::Socket& socket, Family family, const PortMapSpec& spec) {
  return nat_table_over_netlink(socket, family)->has_chain(chain_of(spec)) ||
         legacy_iptables_has(family, kTable);
}

}  // namespace cni::netfilter
