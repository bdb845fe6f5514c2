#include "plugins/meta/firewall/config.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "pkg/netlink/link.hpp"
#include "pkg/types/error.hpp"

namespace cni::firewall {
namespace {

using netfilter::EgressRule;
using netfilter::FirewallSpec;
using netfilter::IngressPolicy;
using netfilter::Transport;

// What iptables takes as a chain's name (XT_EXTENSION_MAXNAMELEN, less one for the NUL).
constexpr std::size_t kMaxChainName = 28;
constexpr int kMaxPort = 65535;

constexpr std::array kPolicies = {Choice<IngressPolicy>{"open", IngressPolicy::kOpen},
                                  Choice<IngressPolicy>{"same-bridge", IngressPolicy::kSameBridge},
                                  Choice<IngressPolicy>{"isolated", IngressPolicy::kIsolated}};
constexpr std::array<std::string_view, 3> kProtocols = {"tcp", "udp", "sctp"};
constexpr std::array kTransports = {Transport::kTcp, Transport::kUdp, Transport::kSctp};

constexpr auto kEgressKeys = schema::keys<EgressKeys>(
    schema::key<&EgressKeys::to>("to", "The destinations: an address with prefix length.",
                                 {.required = true}),
    schema::key<&EgressKeys::protocol>("protocol", "By default every protocol.",
                                       {.choices = kProtocols}),
    schema::key<&EgressKeys::ports>(
        "ports", "A destination port or a range, \"80\" or \"80-90\"; by default every port."));
constexpr schema::Table<EgressKeys> kEgressTable(kEgressKeys);

// Read by parse: its message is the one that users know.
consteval schema::Row<Config> policy_row() {
  auto row = schema::choice<&Config::ingress_policy, kPolicies>(
      "ingressPolicy",
      "Who may connect to the containers of the bridge: everybody, not those of other bridges "
      "with a policy, or not each other either.",
      {.fallback = R"("open")", .noun = "ingress policy"});
  row.key.read = nullptr;
  return row;
}

constexpr auto kKeys = schema::keys<Config>(
    schema::key<&Config::backend>(
        "backend",
        "What keeps the rules; by default firewalld if it runs, else iptables, unless only "
        "nftables can be used on the host.",
        {.choices = netfilter::kFirewallBackends}),
    schema::key<&Config::admin_chain>(
        "iptablesAdminChainName",
        "The chain of iptables for the operator's own rules, which come first.",
        {.fallback = R"("CNI-ADMIN")"}),
    schema::key<&Config::zone>("firewalldZone", "The zone of firewalld that the addresses go to.",
                               {.fallback = R"("trusted")"}),
    policy_row(),
    schema::objects<&Config::egress_deny, kEgressTable>(
        "egressDeny", "Where the network's containers may not send. Only with nftables."),
    schema::objects<&Config::egress_allow, kEgressTable>(
        "egressAllow", "What passes although egressDeny has it. Only with nftables."));
constexpr schema::Table<Config> kTable(kKeys);

void read_policy(const Reader& in, Config& config) {
  (void)in.choice("ingressPolicy", config.ingress_policy,
                  std::span<const Choice<IngressPolicy>>(kPolicies), "ingress policy");
}

// The name becomes a word of a line that iptables-restore reads.
void check_admin_chain(const Reader& in, const std::string& name) {
  const bool is_word = std::all_of(name.begin(), name.end(), [](char c) {
    return c > ' ' && c < '\x7f' && c != '"' && c != '\'' && c != '\\';
  });
  const bool is_good = is_word && !name.empty() && name.size() <= kMaxChainName &&
                       name.front() != '-' && name.front() != '!' && name.front() != ':';
  if (is_good) return;
  throw in.invalid("iptablesAdminChainName",
                   cat(quote(name),
                       " is no name of a chain (1 to 28 letters, digits, \"-\", \"_\""
                       " and such, not beginning with \"-\", \"!\" or \":\")"));
}

std::optional<int> port_in(std::string_view text) {
  int out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  const bool is_port =
      error == std::errc() && end == text.data() + text.size() && out >= 1 && out <= kMaxPort;
  return is_port ? std::optional(out) : std::nullopt;
}

void read_ports(const EgressKeys& keys, std::string_view path, EgressRule& out) {
  const std::string_view text = keys.ports;
  const std::size_t dash = text.find('-');
  const auto first = port_in(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : port_in(text.substr(dash + 1));
  if (!first || !last || *first > *last) {
    throw Error(Code::kInvalidNetworkConfig,
                cat(path, ".ports: ", quote(text),
                    " is neither a port from 1 to 65535 nor a range as \"80-90\""));
  }
  if (!out.transport) {
    throw Error(Code::kInvalidNetworkConfig,
                cat(path, ".ports: only a protocol has ports: set protocol to tcp, udp or sctp"));
  }
  out.first_port = static_cast<std::uint16_t>(*first);
  out.last_port = static_cast<std::uint16_t>(*last);
}

EgressRule rule_of(const EgressKeys& keys, std::string_view path) {
  EgressRule out;
  out.network = keys.to.network();
  for (std::size_t i = 0; i < kProtocols.size(); ++i) {
    if (keys.protocol == kProtocols[i]) out.transport = kTransports[i];
  }
  if (!keys.protocol.empty() && !out.transport) {
    throw Error(Code::kInvalidNetworkConfig, cat(path, ".protocol: unknown protocol ",
                                                 quote(keys.protocol), " (known: tcp, udp, sctp)"));
  }
  if (!keys.ports.empty()) read_ports(keys, path, out);
  return out;
}

std::vector<EgressRule> rules_of(const std::vector<EgressKeys>& entries, const std::string& path) {
  std::vector<EgressRule> out;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    out.push_back(rule_of(entries[i], cat(path, '[', i, ']')));
  }
  return out;
}

// The first interface is the bridge, or the host's end of what is no bridge's port. One in the
// container says nothing about the host.
void take_interfaces(const Result& result, FirewallSpec& out) {
  const auto& interfaces = result.interfaces;
  if (interfaces.empty() || !interfaces[0].sandbox.empty()) return;
  out.bridge = interfaces[0].name;
  for (std::size_t i = 1; i < interfaces.size(); ++i) {
    if (interfaces[i].sandbox.empty()) out.host_links.push_back(interfaces[i].name);
  }
}

FirewallSpec spec_of(const skel::Request& request, const Config& config) {
  FirewallSpec out;
  out.owner = {request.config.name, request.container_id, request.ifname};
  out.backend = config.backend;
  out.admin_chain = config.admin_chain;
  out.zone = config.zone;
  out.ingress_policy = config.ingress_policy;
  out.search_path = skel::environment_value(request.environment, "PATH");
  out.bus_address = skel::environment_value(request.environment, "DBUS_SYSTEM_BUS_ADDRESS");
  const Result* result = request.config.prev_result();
  if (result == nullptr) return out;
  for (const IpConfig& ip : result->ips) {
    const auto found = std::find(out.addresses.begin(), out.addresses.end(), ip.address.address);
    if (found == out.addresses.end()) out.addresses.push_back(ip.address.address);
  }
  take_interfaces(*result, out);
  return out;
}

}  // namespace

constinit const schema::Description kDescription{
    .about = "Lets the containers' traffic pass the host's firewall and keeps networks apart.",
    .keys = &kTable};

FirewallSpec parse(const skel::Request& request) {
  const Reader in = request.config.root();
  Config config;
  context("failed to load netconf", [&] {
    schema::read(in, kTable, config);
    check_admin_chain(in, config.admin_chain);
  });
  read_policy(in, config);
  FirewallSpec out = spec_of(request, config);
  context("failed to load netconf", [&] {
    out.egress_deny = rules_of(config.egress_deny, in.path_of("egressDeny"));
    out.egress_allow = rules_of(config.egress_allow, in.path_of("egressAllow"));
  });
  if (!out.bridge.empty()) {
    context("prevResult.interfaces[0].name", [&] { netlink::check_link_name(out.bridge); });
  }
  return out;
}

FirewallSpec parse_readable(const skel::Request& request) {
  const Reader in = request.config.root();
  Config config;
  schema::read_readable(in, kTable, config);
  try {
    read_policy(in, config);
  } catch (const Error&) {
    // ADD has refused it, so that there is nothing of it.
  }
  FirewallSpec out = spec_of(request, config);
  try {
    netlink::check_link_name(out.bridge);
  } catch (const Error&) {
    out.bridge.clear();
  }
  return out;
}

}  // namespace cni::firewall
