#include "pkg/netfilter/nat_table.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <map>
#include <utility>

#include "pkg/netfilter/nft.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {
namespace {

constexpr std::string_view kTable = "nat";
// Of a removal while others change the table; some milliseconds each.
constexpr int kMaxAttempts = 64;

// What iptables over nf_tables calls its nat table.
NftTable nat_table(Family family) {
  return {family == Family::kIpv4 ? NftFamily::kIpv4 : NftFamily::kIpv6, std::string(kTable)};
}

// The octets that a source is compared with are fewer for a network of whole octets.
std::optional<Ip> first_address(std::string octets, Family family) {
  if (octets.empty()) return std::nullopt;
  octets.resize(family == Family::kIpv4 ? 4 : 16, '\0');
  return Ip::from_bytes(octets.data(), octets.size());
}

NatRule rule_of(NftRuleInfo&& info, Family family) {
  NatRule out;
  out.handle = info.handle;
  out.comment = std::move(info.comment);
  out.target = info.target.empty() ? std::move(info.extension) : std::move(info.target);
  out.protocol = info.protocol;
  out.ports = std::move(info.ports);
  out.source = first_address(std::move(info.source), family);
  out.destination = Ip::from_bytes(info.destination.data(), info.destination.size());
  out.dnat_address = info.dnat_address;
  out.mark = info.mark;
  const bool has_other_matches =
      std::any_of(info.matches.begin(), info.matches.end(),
                  [](const std::string& name) { return name != "comment" && name != "multiport"; });
  const std::size_t compared = out.protocol == 0 ? 0 : 1;
  out.has_more_conditions =
      has_other_matches || info.values.size() > compared || !info.sets.empty();
  return out;
}

class NetlinkNatTable : public NatTable {
 public:
  NetlinkNatTable(netlink::Socket& socket, Family family)
      : socket_(socket), family_(family), table_(nat_table(family)) {}

  bool has_chain(std::string_view chain) override {
    return nft_chain_use(socket_, table_, chain).has_value();
  }

  std::vector<std::string> chains(std::string_view prefix) override {
    return nft_list_chains(socket_, table_, prefix);
  }

  std::vector<NatRule> rules(std::string_view chain) override {
    NftRuleGlimpse glimpse = nft_glimpse_rules(socket_, table_, chain);
    is_complete_ = is_complete_ && glimpse.complete;
    std::vector<NatRule> out;
    for (NftRuleInfo& info : glimpse.rules) out.push_back(rule_of(std::move(info), family_));
    return out;
  }

  bool is_complete() const override { return is_complete_; }

  bool is_referred_to(std::string_view chain) override {
    // Its own rules count too. To look for the others would be to list the whole table.
    return nft_chain_use(socket_, table_, chain).value_or(0) > rules(chain).size();
  }

  void remove(const NatRemoval& removal, std::string_view operation) override {
    NftTransaction transaction(table_);
    for (const NatRemoval::Rule& each : removal.rules) {
      transaction.delete_rule(each.chain, each.rule.handle);
    }
    // The kernel does not delete a chain that a rule leads to: then none was overlooked.
    for (const std::string& chain : removal.chains) {
      transaction.flush_chain(chain).delete_chain(chain);
    }
    transaction.commit(socket_, operation);
  }

 private:
  netlink::Socket& socket_;
  Family family_;
  NftTable table_;
  bool is_complete_ = true;
};

// The words of a line that -S prints, without quotes and escapes.
std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> out;
  bool is_quoted = false;
  bool is_word = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (!is_quoted && line[i] == ' ') {
      is_word = false;
      continue;
    }
    if (!is_word) out.emplace_back();
    is_word = true;
    if (line[i] == '"') {
      is_quoted = !is_quoted;
    } else {
      if (line[i] == '\\' && i + 1 < line.size()) ++i;
      out.back().push_back(line[i]);
    }
  }
  return out;
}

std::uint8_t protocol_number(std::string_view name) {
  if (name == "tcp") return IPPROTO_TCP;
  if (name == "udp") return IPPROTO_UDP;
  return name == "sctp" ? IPPROTO_SCTP : 0;
}

std::vector<std::uint16_t> ports_in(std::string_view list) {
  std::vector<std::uint16_t> out;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    std::uint16_t port = 0;
    const auto [stop, error] = std::from_chars(list.data(), list.data() + end, port);
    if (error == std::errc() && stop == list.data() + end) out.push_back(port);
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return out;
}

// The address of "10.1.0.2:80" or "[fd00::2]:80".
std::optional<Ip> address_before_port(std::string_view text) {
  std::string_view address = text.substr(0, text.rfind(':'));
  if (address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
  }
  return Ip::parse(address);
}

std::optional<Ip> single_address(std::string_view text) {
  const auto prefix = Prefix::parse(text);
  if (!prefix || prefix->length != prefix->address.width()) return std::nullopt;
  return prefix->address;
}

std::optional<std::uint32_t> mark_in(std::string_view text) {
  if (!text.starts_with("0x")) return std::nullopt;
  text.remove_prefix(2);
  std::uint32_t out = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), out, 16);
  return error == std::errc() ? std::optional(out) : std::nullopt;
}

// Takes an option and its value; false if the option is not one of those that are known.
bool take_option(const std::string& option, const std::string& value, NatRule& out) {
  if (option == "-p") {
    out.protocol = protocol_number(value);
  } else if (option == "--dport" || option == "--dports") {
    out.ports = ports_in(value);
  } else if (option == "-s") {
    if (const auto source = Prefix::parse(value)) out.source = source->address;
    out.has_more_conditions = true;
  } else if (option == "-d") {
    out.destination = single_address(value);
    out.has_more_conditions = true;
  } else if (option == "-j" || option == "-g") {
    out.target = value;
  } else if (option == "--comment") {
    out.comment = value;
  } else if (option == "--to-destination") {
    out.dnat_address = address_before_port(value);
  } else if (option == "--mark" || option == "--set-xmark") {
    out.mark = mark_in(value);
  } else {
    return option == "-m" && (value == "comment" || value == "multiport");
  }
  return true;
}

// A specification as -S prints it: the words behind the chain.
NatRule read_rule(std::string_view specification) {
  NatRule out;
  out.specification = specification;
  const std::vector<std::string> words = words_of(specification);
  // Others have any number of values, or none.
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i + 1 < words.size() && take_option(words[i], words[i + 1], out)) {
      ++i;
    } else {
      out.has_more_conditions = true;
    }
  }
  return out;
}

class ListedNatTable : public NatTable {
 public:
  explicit ListedNatTable(const Iptables& iptables) : iptables_(iptables) {
    const os::Exit exit = iptables.run(kTable, {"-S"});
    if (!exit.ok()) {
      throw Error(Code::kDelegateFailed,
                  cat("list table nat with ", iptables.name(), ": ", exit.describe()), exit.err);
    }
    std::string_view rest = exit.out;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      read_line(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }

  bool has_chain(std::string_view chain) override { return chains_.find(chain) != chains_.end(); }

  std::vector<std::string> chains(std::string_view prefix) override {
    std::vector<std::string> out;
    for (const auto& [name, rules] : chains_) {
      if (name.starts_with(prefix)) out.push_back(name);
    }
    return out;
  }

  std::vector<NatRule> rules(std::string_view chain) override {
    const auto found = chains_.find(chain);
    return found == chains_.end() ? std::vector<NatRule>() : found->second;
  }

  bool is_referred_to(std::string_view chain) override {
    for (const auto& [name, rules] : chains_) {
      for (const NatRule& rule : rules) {
        if (rule.target == chain) return true;
      }
    }
    return false;
  }

  void remove(const NatRemoval& removal, std::string_view operation) override {
    std::vector<std::string> lines;
    for (const NatRemoval::Rule& each : removal.rules) {
      lines.push_back(cat("-D ", each.chain, ' ', each.rule.specification));
    }
    for (const std::string& chain : removal.chains) {
      lines.push_back(cat("-F ", chain));
      lines.push_back(cat("-X ", chain));
    }
    if (lines.empty()) return;
    const os::Exit exit = iptables_.restore(kTable, lines);
    if (exit.ok()) return;
    // All that it was told to remove was there, so somebody else was faster.
    throw Error(Code::kDelegateFailed,
                cat(operation, " with ", iptables_.name(), ": ", exit.describe()), exit.err,
                ENOENT);
  }

 private:
  // "-P CHAIN ACCEPT", "-N CHAIN" or "-A CHAIN specification".
  void read_line(std::string_view line) {
    if (line.size() < 4) return;
    const std::string_view rest = line.substr(3);
    const std::size_t end = std::min(rest.find(' '), rest.size());
    std::vector<NatRule>& rules = chains_[std::string(rest.substr(0, end))];
    if (line.starts_with("-A ") && end < rest.size()) {
      rules.push_back(read_rule(rest.substr(end + 1)));
    }
  }

  Iptables iptables_;
  std::map<std::string, std::vector<NatRule>, std::less<>> chains_;
};

}  // namespace

std::unique_ptr<NatTable> nat_table_over_netlink(netlink::Socket& socket, Family family) {
  return std::make_unique<NetlinkNatTable>(socket, family);
}

std::unique_ptr<NatTable> nat_table_by_program(const Iptables& iptables) {
  return std::make_unique<ListedNatTable>(iptables);
}

void remove_from_nat_table(const ReadNatTable& read, const PlanNatRemoval& plan,
                           std::string_view operation) {
  for (int attempt = 0;; ++attempt) {
    const std::unique_ptr<NatTable> table = read();
    const NatRemoval removal = plan(*table);
    try {
      table->remove(removal, operation);
      // A chain is only removed with all that leads to it. Other rules may have been overlooked.
      if (table->is_complete() || !removal.chains.empty()) return;
      if (attempt == kMaxAttempts) {
        throw Error(Code::kTryAgainLater,
                    cat(operation, ": the list kept changing while it was read"));
      }
    } catch (const Error& error) {
      // Somebody else removed a part of it meanwhile, or kept us from seeing all of it.
      const bool changed = error.sys_errno == ENOENT || error.sys_errno == EBUSY;
      if (!changed || attempt == kMaxAttempts) throw;
    }
  }
}

void for_each_nat_table(netlink::Socket* socket, std::string_view search_path,
                        const OnNatTable& fn) {
  ErrorList errors;
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    if (socket != nullptr) {
      errors.run([&] { fn(family, [&] { return nat_table_over_netlink(*socket, family); }); });
    }
    if (!legacy_iptables_has(family, kTable)) continue;
    const Iptables iptables(family, search_path, IptablesVariant::kLegacy);
    if (!iptables.is_installed()) continue;
    errors.run([&] { fn(family, [&] { return nat_table_by_program(iptables); }); });
  }
  errors.throw_if_any();
}

}  // namespace cni::netfilter
