#include "plugins/meta/portmap/config.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "pkg/netfilter/backend.hpp"
#include "pkg/types/error.hpp"

namespace cni::portmap {
namespace {

using netfilter::kIptablesBackend;
using netfilter::kNftablesBackend;
using netfilter::PortMapping;
using netfilter::Transport;

constexpr int kMaxPort = 65535;
constexpr int kMaxMarkBit = 31;
// What iptables takes as the name of a chain.
constexpr std::size_t kMaxChainName = 28;

constexpr std::array kTransports = {Choice<Transport>{"tcp", Transport::kTcp},
                                    Choice<Transport>{"udp", Transport::kUdp},
                                    Choice<Transport>{"sctp", Transport::kSctp}};
constexpr std::array<std::string_view, 3> kTransportNames = {"tcp", "udp", "sctp"};

// The keys as they are written, before they are understood.
struct MappingKeys {
  int host_port = 0;
  int container_port = 0;
  std::string protocol;
  Ip host_ip;
  bool has_host_ip = false;
  std::vector<Reader> source_ranges;
};
struct ConfigKeys {
  std::string backend;
  bool snat = true;
  bool masquerade_all = false;
  std::optional<int> mark_bit;
  std::string external_mark_chain;
  std::vector<std::string> conditions_ipv4;
  std::vector<std::string> conditions_ipv6;
  std::vector<Reader> port_mappings;
};

void read_host_ip(const Reader& in, std::string_view name, MappingKeys& out) {
  out.has_host_ip = in.optional(name, out.host_ip);
}

constexpr auto kMappingKeys = schema::keys<MappingKeys>(
    schema::key<&MappingKeys::host_port>("hostPort", "The port of the host.",
                                         {.minimum = 1, .maximum = kMaxPort}),
    schema::key<&MappingKeys::container_port>("containerPort", "The port of the container.",
                                              {.minimum = 1, .maximum = kMaxPort}),
    schema::key<&MappingKeys::protocol>("protocol", "What is sent to the port.",
                                        {.fallback = R"("tcp")", .choices = kTransportNames}),
    schema::by<MappingKeys, read_host_ip>(
        {.name = "hostIP",
         .about = "The only address of the host whose port is meant; 0.0.0.0 or :: is all of them.",
         .type = schema::Type::kString,
         .details = {.format = schema::Format::kIp}}),
    schema::elements<&MappingKeys::source_ranges>(
        "sourceRanges", "Who may connect; by default everybody.", schema::Type::kString,
        {.format = schema::Format::kIpOrPrefix}));
constexpr schema::Table<MappingKeys> kMappingTable(kMappingKeys);

constexpr auto kRuntimeKeys = schema::keys<ConfigKeys>(schema::elements<&ConfigKeys::port_mappings>(
    "portMappings", "Ports to publish; by default none.", kMappingTable));
constexpr auto kRuntimeTable = schema::open(schema::Table<ConfigKeys>(kRuntimeKeys));

constexpr auto kKeys = schema::keys<ConfigKeys>(
    schema::key<&ConfigKeys::backend>(
        "backend",
        "What publishes; by default iptables, unless only nftables can be used on the host.",
        {.choices = netfilter::kBackends}),
    schema::key<&ConfigKeys::snat>(
        "snat",
        "Give connections the host's address that come from the container's subnet or 127.0.0.1.",
        {.fallback = "true"}),
    schema::key<&ConfigKeys::masquerade_all>("masqAll", "Give all connections the host's address."),
    schema::key<&ConfigKeys::mark_bit>(
        "markMasqBit",
        "With iptables, the bit of the packet's mark that asks for the host's address.",
        {.fallback = "13", .minimum = 0, .maximum = kMaxMarkBit}),
    schema::key<&ConfigKeys::external_mark_chain>(
        "externalSetMarkChain", "With iptables, a chain of somebody else that sets such a mark."),
    schema::key<&ConfigKeys::conditions_ipv4>(
        "conditionsV4", "More conditions for IPv4, a word each, in the words of the backend."),
    schema::key<&ConfigKeys::conditions_ipv6>(
        "conditionsV6", "More conditions for IPv6, a word each, in the words of the backend."),
    schema::nested("runtimeConfig", "Set by the runtime, for the capability portMappings.",
                   kRuntimeTable));
constexpr schema::Table<ConfigKeys> kTable(kKeys);

Error invalid(std::string message) { return {Code::kInvalidNetworkConfig, std::move(message)}; }

std::uint16_t read_port(const Reader& in, std::string_view key, std::string_view noun, int port) {
  if (port > 0 && port <= kMaxPort) return static_cast<std::uint16_t>(port);
  throw invalid(cat("Invalid ", noun, " port number: ", port, " (", in.path_of(key),
                    " is from 1 to ", kMaxPort, ")"));
}

Transport read_transport(const Reader& in, std::string name) {
  if (name.empty()) return Transport::kTcp;
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  for (const auto& row : kTransports) {
    if (row.text == name) return row.value;
  }
  throw invalid(cat("unknown protocol: ", quote(name), " (", in.path_of("protocol"),
                    "; known: tcp, udp, sctp)"));
}

Prefix read_source(const Reader& in) {
  const std::string text = in.text();
  if (const auto prefix = Prefix::parse(text)) return prefix->network();
  if (const auto address = Ip::parse(text)) return Prefix::host(*address);
  throw invalid(cat(in.path(), ": ", quote(text),
                    " is neither an address nor an address with prefix length"));
}

PortMapping read_mapping(const Reader& in) {
  MappingKeys keys;
  schema::read(in, kMappingTable, keys);
  PortMapping out;
  out.container_port = read_port(in, "containerPort", "container", keys.container_port);
  out.host_port = read_port(in, "hostPort", "host", keys.host_port);
  out.transport = read_transport(in, keys.protocol);
  if (keys.has_host_ip) out.host_ip = keys.host_ip;
  for (const Reader& source : keys.source_ranges) out.sources.push_back(read_source(source));
  return out;
}

bool is_same_host_port(const PortMapping& one, const PortMapping& other) {
  return one.host_port == other.host_port && one.transport == other.transport &&
         one.host_ip == other.host_ip;
}

// A mapping that is given twice is taken once; a port that is to go to two places is refused.
std::vector<PortMapping> read_mappings(const std::vector<Reader>& elements) {
  std::vector<PortMapping> out;
  for (const Reader& element : elements) out.push_back(read_mapping(element));
  std::vector<PortMapping> sorted = out;
  const auto key = [](const PortMapping& mapping) {
    return std::tuple(mapping.transport, mapping.host_port, mapping.host_ip);
  };
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const auto& one, const auto& other) { return key(one) < key(other); });
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end(), is_same_host_port);
  if (twice == sorted.end()) return out;
  for (auto it = twice; it + 1 != sorted.end(); ++it) {
    if (!is_same_host_port(*it, *(it + 1)) || *it == *(it + 1)) continue;
    throw invalid(cat("host port ", it->to_string(), " is mapped twice: to the ports ",
                      it->container_port, " and ", (it + 1)->container_port));
  }
  std::vector<PortMapping> unique;
  for (const PortMapping& mapping : out) {
    if (std::find(unique.begin(), unique.end(), mapping) == unique.end()) unique.push_back(mapping);
  }
  return unique;
}

// Which backend's words they are.
std::string_view syntax_of(const std::vector<std::string>& conditions) {
  const std::string& first = conditions.front();
  return first.starts_with('-') || first.starts_with('!') ? kIptablesBackend : kNftablesBackend;
}

// The backend that a key is only good for; empty: any.
struct SpecificKey {
  std::string_view name;
  std::string_view backend;
};

std::vector<SpecificKey> specific_keys(const ConfigKeys& keys) {
  std::vector<SpecificKey> out;
  if (!keys.conditions_ipv4.empty()) {
    out.push_back({"conditionsV4", syntax_of(keys.conditions_ipv4)});
  }
  if (!keys.conditions_ipv6.empty()) {
    out.push_back({"conditionsV6", syntax_of(keys.conditions_ipv6)});
  }
  if (!keys.external_mark_chain.empty()) {
    out.push_back({"externalSetMarkChain", kIptablesBackend});
  }
  return out;
}

std::string choose_backend(const ConfigKeys& keys) {
  if (!netfilter::is_backend(keys.backend)) {
    throw invalid(cat("unrecognized backend ", quote(keys.backend),
                      " (backend is one of \"iptables\", \"nftables\")"));
  }
  const std::vector<SpecificKey> specific = specific_keys(keys);
  const auto is_of = [&](std::string_view backend) {
    return std::any_of(specific.begin(), specific.end(),
                       [&](const SpecificKey& key) { return key.backend == backend; });
  };
  std::string_view backend = keys.backend;
  if (backend.empty() && is_of(kNftablesBackend)) backend = kNftablesBackend;
  if (keys.backend.empty() && is_of(kIptablesBackend)) backend = kIptablesBackend;
  std::string others;
  for (const SpecificKey& key : specific) {
    if (key.backend != backend) others += cat(others.empty() ? "" : " ", key.name);
  }
  if (others.empty()) return std::string(backend);
  const std::string_view other = backend == kIptablesBackend ? kNftablesBackend : kIptablesBackend;
  throw invalid(cat(backend, " backend was requested but configuration contains ", other,
                    "-specific options [", others, "]"));
}

void check_words(std::string_view key, const std::vector<std::string>& words) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; };
  for (const std::string& word : words) {
    if (std::none_of(word.begin(), word.end(), is_control)) continue;
    throw invalid(cat(key, ": ", quote(word), " has control characters"));
  }
}

void check_chain(std::string_view chain) {
  const bool is_name = chain.size() <= kMaxChainName && !chain.starts_with('-') &&
                       std::all_of(chain.begin(), chain.end(),
                                   [](char c) { return c > ' ' && c < 0x7f && c != '"'; });
  if (is_name) return;
  throw invalid(cat("externalSetMarkChain: ", quote(chain), " cannot be the name of a chain"));
}

Config validated(const ConfigKeys& keys) {
  Config out;
  out.backend = choose_backend(keys);
  out.snat = keys.snat;
  out.masquerade_all = keys.masquerade_all;
  if (keys.mark_bit && !keys.external_mark_chain.empty()) {
    throw invalid("Cannot specify externalSetMarkChain and markMasqBit");
  }
  const int bit = keys.mark_bit.value_or(static_cast<int>(out.mark_bit));
  if (bit < 0 || bit > kMaxMarkBit) {
    throw invalid(cat("MasqMarkBit must be between 0 and 31 (markMasqBit is ", bit, ")"));
  }
  out.mark_bit = static_cast<unsigned>(bit);
  check_chain(keys.external_mark_chain);
  out.external_mark_chain = keys.external_mark_chain;
  check_words("conditionsV4", keys.conditions_ipv4);
  check_words("conditionsV6", keys.conditions_ipv6);
  out.conditions_ipv4 = keys.conditions_ipv4;
  out.conditions_ipv6 = keys.conditions_ipv6;
  out.mappings = read_mappings(keys.port_mappings);
  return out;
}

}  // namespace

constinit const schema::Description kDescription{
    .about = "Publishes ports of containers on the host, behind a plugin that gives addresses.",
    .keys = &kTable};

Config parse(const skel::Request& request) {
  return context("failed to parse config", [&] {
    ConfigKeys keys;
    schema::read(request.config.root(), kTable, keys);
    return validated(keys);
  });
}

}  // namespace cni::portmap
