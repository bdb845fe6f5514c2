#include "pkg/netfilter/port_map_rules.hpp"

#include <algorithm>
#include <array>

#include "pkg/netfilter/iptables.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/hash.hpp"

namespace cni::netfilter {
namespace {

constexpr std::size_t kChainLength = 28;
// What iptables accepts as a comment.
constexpr std::size_t kMaxComment = 255;
// What the match multiport takes.
constexpr std::size_t kMaxPorts = 15;

constexpr std::string_view kCommentNetwork = "dnat name: ";
constexpr std::string_view kCommentContainer = " id: ";

std::string cut(std::string comment) {
  constexpr std::string_view kCut = "...";
  if (comment.size() <= kMaxComment) return comment;
  return cat(comment.substr(0, kMaxComment - kCut.size()), kCut);
}

std::string hex(std::uint32_t value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  do {
    out.insert(out.begin(), kDigits[value & 15]);
    value >>= 4;
  } while (value != 0);
  return cat("0x", out);
}

// The mark as iptables prints it, with its mask.
std::string mark_of(const PortMapSpec& spec) {
  const std::string mark = hex(1U << spec.mark_bit);
  return cat(mark, '/', mark);
}

// What begins each rule of a mapping.
std::string match_of(const PortMapping& mapping) {
  std::string out =
      cat(" -p ", to_string(mapping.transport), " --dport ", std::to_string(mapping.host_port));
  if (const auto host = destination_of(mapping)) out += cat(" -d ", host->to_string());
  return out;
}

std::string dnat_target(const Ip& address, std::uint16_t port) {
  return address.is_ipv4() ? cat(address.to_string(), ':', std::to_string(port))
                           : cat('[', address.to_string(), "]:", std::to_string(port));
}

// What two networks have in common, which is the smaller of them; absent if it is nothing.
std::optional<Prefix> common(const Prefix& one, const Prefix& other) {
  if (one.address.family() != other.address.family()) return std::nullopt;
  if (one.contains(other)) return other;
  return other.contains(one) ? std::optional(one) : std::nullopt;
}

// Sources whose connections get the host's address, as the specification says them; for mappings
// with sources of their own only those among them.
std::vector<std::string> marked_sources(const PortMapSpec& spec, const PortMapping& mapping,
                                        const Prefix& target) {
  const bool is_ipv4 = target.address.is_ipv4();
  if (spec.masquerade_all && mapping.sources.empty()) return {is_ipv4 ? "0.0.0.0/0" : "::/0"};
  std::vector<Prefix> wanted = {target};
  if (is_ipv4) wanted.push_back(Prefix::host(*Ip::parse("127.0.0.1")));
  std::vector<std::string> out;
  if (mapping.sources.empty()) {
    for (const Prefix& source : wanted) out.push_back(source.to_string());
    return out;
  }
  for (const Prefix& source : mapping.sources) {
    if (spec.masquerade_all && source.address.is_ipv4() == is_ipv4) {
      out.push_back(source.to_string());
      continue;
    }
    for (const Prefix& each : wanted) {
      if (const auto both = common(each, source)) out.push_back(both->to_string());
    }
  }
  return out;
}

// "" for everybody.
std::vector<std::string> allowed_sources(const PortMapping& mapping, Family family) {
  if (mapping.sources.empty()) return {""};
  std::vector<std::string> out;
  for (const Prefix& source : mapping.sources) {
    if (source.address.family() == family) out.push_back(cat(" -s ", source.to_string()));
  }
  return out;
}

void append_rules(const PortMapSpec& spec, const PortMapping& mapping, const Prefix& target,
                  std::vector<std::string>& out) {
  const std::string start =
      cat(port_map_chain(spec.owner.network, spec.owner.container_id), match_of(mapping));
  if (spec.snat) {
    const std::string_view set_mark =
        uses_own_mark(spec) ? kPortMapSetMark : std::string_view(spec.external_mark_chain);
    for (const std::string& source : marked_sources(spec, mapping, target)) {
      out.push_back(cat(start, " -s ", source, " -j ", set_mark));
    }
  }
  const std::string to = dnat_target(target.address, mapping.container_port);
  for (const std::string& source : allowed_sources(mapping, target.address.family())) {
    out.push_back(cat(start, source, " -j DNAT --to-destination ", to));
  }
}

}  // namespace

std::string port_map_chain(std::string_view network, std::string_view container_id) {
  return hashed_name(kPortMapChainPrefix, cat(network, container_id), kChainLength);
}

std::string old_snat_chain(std::string_view network, std::string_view container_id) {
  return hashed_name("CNI-SN-", cat(network, container_id), kChainLength);
}

std::string port_map_comment_start(std::string_view network) {
  // Shorter than where a comment is cut, so that it begins those that are cut too.
  return cat(kCommentNetwork, quote(network), kCommentContainer).substr(0, kMaxComment - 3);
}

std::string describe_port_map_comment(std::string_view comment) {
  const std::size_t container = comment.rfind(cat(kCommentContainer, '"'));
  const bool is_ours = comment.starts_with(cat(kCommentNetwork, '"')) && comment.ends_with('"') &&
                       container != std::string_view::npos;
  if (!is_ours) return quote(comment);
  const auto without_quotes = [](std::string_view text) { return text.substr(1, text.size() - 2); };
  const std::string_view network =
      comment.substr(kCommentNetwork.size(), container - kCommentNetwork.size());
  return cat("container ", without_quotes(comment.substr(container + kCommentContainer.size())),
             " (network ", without_quotes(network), ")");
}

bool uses_own_mark(const PortMapSpec& spec) { return spec.external_mark_chain.empty(); }

std::vector<SharedRule> port_map_jumps() {
  std::vector<SharedRule> out;
  for (const std::string_view chain : {"PREROUTING", "OUTPUT"}) {
    out.push_back({chain, cat(chain, " -m addrtype --dst-type LOCAL -j ", kPortMapEntries)});
  }
  return out;
}

MarkRules port_map_mark_rules(const PortMapSpec& spec) {
  const std::string mark = mark_of(spec);
  return {.set_mark = cat(kPortMapSetMark,
                          " -m comment --comment \"CNI portfwd masquerade mark\" -j MARK "
                          "--set-xmark ",
                          mark),
          .masquerade = cat(kPortMapMasquerade, " -m mark --mark ", mark, " -j MASQUERADE"),
          .jump = cat("POSTROUTING -m comment --comment \"CNI portfwd requiring masquerade\" -j ",
                      kPortMapMasquerade)};
}

std::vector<std::string> port_map_rules(const PortMapSpec& spec, Family family) {
  std::vector<std::string> out;
  const auto target = target_of(spec, family);
  if (!target) return out;
  for (const PortMapping& mapping : mappings_of(spec, family)) {
    append_rules(spec, mapping, *target, out);
  }
  return out;
}

std::string printed_port_map_rule(std::string_view rule) {
  const std::size_t jump = rule.find(" -j ");
  // The value of an option before the jump; empty without.
  const auto value_of = [&](std::string_view option) {
    const std::size_t start = rule.substr(0, jump).find(option);
    if (start == std::string_view::npos) return std::string_view();
    const std::string_view rest = rule.substr(start + option.size());
    return rest.substr(0, rest.find(' '));
  };
  std::string out(rule.substr(0, rule.find(' ')));
  const std::string_view source = value_of(" -s ");
  const auto network = Prefix::parse(source);
  if (network && network->length > 0) out += cat(" -s ", network->network().to_string());
  if (const auto address = Ip::parse(source)) {
    out += cat(" -s ", Prefix::host(*address).to_string());
  }
  const auto destination = Ip::parse(value_of(" -d "));
  if (destination) out += cat(" -d ", Prefix::host(*destination).to_string());
  const std::string_view protocol = value_of(" -p ");
  return cat(out, " -p ", protocol, " -m ", protocol, " --dport ", value_of(" --dport "),
             rule.substr(jump));
}

std::vector<EntryRule> port_map_entries(const PortMapSpec& spec, Family family) {
  const std::string comment = cut(cat(kCommentNetwork, quote(spec.owner.network), kCommentContainer,
                                      quote(spec.owner.container_id)));
  std::string end;
  const auto& conditions = family == Family::kIpv4 ? spec.conditions_ipv4 : spec.conditions_ipv6;
  for (const std::string& word : conditions) end += cat(' ', iptables_quoted(word));
  end += cat(" -j ", port_map_chain(spec.owner.network, spec.owner.container_id));

  std::vector<EntryRule> out;
  // In the order of their names. All ports of the protocol are there, also those of mappings to an
  // address of the other family, as the reference plugins have it.
  for (const Transport transport : {Transport::kSctp, Transport::kTcp, Transport::kUdp}) {
    for (const PortMapping& mapping : spec.mappings) {
      if (mapping.transport != transport) continue;
      const bool is_full = !out.empty() && out.back().ports.size() == kMaxPorts;
      if (out.empty() || out.back().transport != transport || is_full) {
        out.push_back({.transport = transport, .ports = {}, .rule = {}});
      }
      out.back().ports.push_back(mapping.host_port);
    }
  }
  for (EntryRule& entry : out) {
    std::string ports;
    for (const std::uint16_t port : entry.ports) {
      ports += cat(ports.empty() ? "" : ",", std::to_string(port));
    }
    entry.rule =
        cat(kPortMapEntries, " -m comment --comment ", iptables_quoted(comment),
            " -m multiport -p ", to_string(entry.transport), " --destination-ports ", ports, end);
  }
  return out;
}

}  // namespace cni::netfilter
