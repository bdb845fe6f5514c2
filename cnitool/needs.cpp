#include "cnitool/needs.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "pkg/types/error.hpp"

namespace cni::cnitool {
namespace {

using nlohmann::json;

bool is_true(const json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && found->is_boolean() && found->get<bool>();
}

// The text under a key; empty without one.
std::string_view text_of(const json& config, const char* key) {
  const auto found = config.find(key);
  const bool is_text = found != config.end() && found->is_string();
  return is_text ? std::string_view(found->get_ref<const std::string&>()) : std::string_view();
}

bool masquerades(const json& config) { return is_true(config, "ipMasq"); }
bool masquerades_with_any(const json& config) {
  return masquerades(config) && text_of(config, "ipMasqBackend").empty();
}
bool masquerades_with_iptables(const json& config) {
  return masquerades(config) && text_of(config, "ipMasqBackend") == "iptables";
}
bool masquerades_with_nftables(const json& config) {
  return masquerades(config) && text_of(config, "ipMasqBackend") == "nftables";
}
bool checks_mac_addresses(const json& config) { return is_true(config, "macspoofchk"); }
bool is_gateway(const json& config) {
  return is_true(config, "isGateway") || is_true(config, "isDefaultGateway");
}
// portmap's own key.
bool publishes_with_any(const json& config) {
  const bool has_conditions = config.contains("conditionsV4") || config.contains("conditionsV6");
  return text_of(config, "backend").empty() && !has_conditions &&
         text_of(config, "externalSetMarkChain").empty();
}
bool publishes_with_iptables(const json& config) {
  return text_of(config, "backend") == "iptables";
}
bool publishes_with_nftables(const json& config) {
  return text_of(config, "backend") == "nftables";
}
bool has_vlans(const json& config) {
  const auto vlan = config.find("vlan");
  const auto trunk = config.find("vlanTrunk");
  return (vlan != config.end() && vlan->is_number() && vlan->get<double>() != 0) ||
         (trunk != config.end() && trunk->is_array() && !trunk->empty());
}

bool has_elements(const json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && found->is_array() && !found->empty();
}
bool filters_with_iptables(const json& config) { return text_of(config, "backend") == "iptables"; }
bool filters_with_nftables(const json& config) {
  return text_of(config, "backend") == "nftables" || has_elements(config, "egressDeny") ||
         has_elements(config, "egressAllow");
}

bool limits_with_htb(const json& config) {
  return text_of(config, "qdisc") == "htb" || has_elements(config, "shapedSubnets") ||
         has_elements(config, "unshapedSubnets");
}
bool limits_with_tbf(const json& config) { return !limits_with_htb(config); }

constexpr std::string_view kIpv4Addresses = "IPv4 addresses";
constexpr std::string_view kIpv6Addresses = "IPv6 addresses";
constexpr std::string_view kForwarding = "net/ipv4/ip_forward=1";
constexpr std::string_view kForwarding6 = "net/ipv6/conf/all/forwarding=1";
constexpr std::string_view kIpv6Enabled = "net/ipv6/conf/default/disable_ipv6=0";

constexpr Need kNeeds[] = {
    // To enter the container's namespace, and to change links.
    {"", Needed::kCapability, "CAP_SYS_ADMIN"},
    {"", Needed::kCapability, "CAP_NET_ADMIN"},

    {"bridge", Needed::kLinkType, "bridge"},
    {"bridge", Needed::kLinkType, "veth"},
    {"bridge", Needed::kBridgeVlans, "", "vlan, vlanTrunk", has_vlans},
    {"bridge", Needed::kMasquerade, "", "ipMasq", masquerades_with_any},
    {"bridge", Needed::kIptables, "", "ipMasqBackend iptables", masquerades_with_iptables},
    {"bridge", Needed::kNftables, "", "ipMasqBackend nftables", masquerades_with_nftables},
    {"bridge", Needed::kNftables, "", "macspoofchk", checks_mac_addresses},
    {"bridge", Needed::kSysctl, kForwarding, "isGateway", is_gateway},
    {"bridge", Needed::kSysctl, kForwarding6, "isGateway, IPv6 addresses"},
    {"bridge", Needed::kSysctl, kIpv6Enabled, kIpv6Addresses},

    {"bandwidth", Needed::kLinkType, "ifb"},
    {"bandwidth", Needed::kQdisc, "ingress"},
    {"bandwidth", Needed::kQdisc, "tbf", "qdisc tbf", limits_with_tbf},
    {"bandwidth", Needed::kQdisc, "htb", "qdisc htb, shapedSubnets, unshapedSubnets",
     limits_with_htb},

    {"dummy", Needed::kLinkType, "dummy"},
    {"dummy", Needed::kSysctl, kIpv6Enabled, kIpv6Addresses},

    // Whether firewalld runs is known at ADD.
    {"firewall", Needed::kMasquerade, "", "without firewalld"},
    {"firewall", Needed::kIptables, "", "backend iptables", filters_with_iptables},
    {"firewall", Needed::kNftables, "", "backend nftables", filters_with_nftables},

    {"host-device", Needed::kSysctl, kIpv6Enabled, kIpv6Addresses},

    {"ipvlan", Needed::kLinkType, "ipvlan"},
    {"ipvlan", Needed::kSysctl, kIpv6Enabled, kIpv6Addresses},

    {"loopback", Needed::kSysctl, kIpv6Enabled, kIpv6Addresses},

    {"macvlan", Needed::kLinkType, "macvlan"},
    {"macvlan", Needed::kSysctl, kIpv6Enabled, kIpv6Addresses},

    {"ptp", Needed::kLinkType, "veth"},
    {"ptp", Needed::kMasquerade, "", "ipMasq", masquerades_with_any},
    {"ptp", Needed::kIptables, "", "ipMasqBackend iptables", masquerades_with_iptables},
    {"ptp", Needed::kNftables, "", "ipMasqBackend nftables", masquerades_with_nftables},
    {"ptp", Needed::kSysctl, kForwarding, kIpv4Addresses},
    {"ptp", Needed::kSysctl, kForwarding6, kIpv6Addresses},

    {"tap", Needed::kTunDevice, ""},
    {"tap", Needed::kSysctl, kIpv6Enabled, kIpv6Addresses},

    {"vlan", Needed::kLinkType, "vlan"},
    {"vlan", Needed::kSysctl, kIpv6Enabled, kIpv6Addresses},

    {"vrf", Needed::kLinkType, "vrf"},

    {"dhcp", Needed::kDhcpDaemon, "/run/cni/dhcp.sock"},

    {"host-local", Needed::kFolder, "/var/lib/cni/networks"},

    {"sbr", Needed::kRoutingRules, "IPv4"},
    {"sbr", Needed::kRoutingRules, "IPv6", kIpv6Addresses},

    {"portmap", Needed::kMasquerade, "", "no backend", publishes_with_any},
    {"portmap", Needed::kIptables, "", "backend iptables", publishes_with_iptables},
    {"portmap", Needed::kNftables, "", "backend nftables", publishes_with_nftables},

    {"tuning", Needed::kFolder, "/run/cni/tuning"},
};

constexpr std::string_view kPlugins[] = {
    "loopback",    "bridge",  "ptp",       "macvlan",  "ipvlan",     "vlan",
    "host-device", "dummy",   "tap",       "firewall", "host-local", "static",
    "dhcp",        "portmap", "bandwidth", "sbr",      "tuning",     "vrf"};

}  // namespace

std::span<const Need> all_needs() { return kNeeds; }

std::span<const std::string_view> known_plugins() { return kPlugins; }

bool is_known_plugin(std::string_view plugin) {
  return std::find(std::begin(kPlugins), std::end(kPlugins), plugin) != std::end(kPlugins);
}

std::string argument_of(const Need& need, const json& config) {
  const bool can_be_moved = need.what == Needed::kFolder || need.what == Needed::kDhcpDaemon;
  if (!can_be_moved || !config.is_object()) return std::string(need.argument);
  // Address managers have the key in their section, others in the configuration itself.
  const auto ipam = config.find("ipam");
  const bool has_section = ipam != config.end() && ipam->is_object();
  const std::string_view moved = text_of(
      has_section ? *ipam : config, need.what == Needed::kFolder ? "dataDir" : "daemonSocketPath");
  return std::string(moved.empty() ? need.argument : moved);
}

std::string describe(const Need& need, const json& config) {
  switch (need.what) {
    case Needed::kCapability:
      return std::string(need.argument);
    case Needed::kLinkType:
      return cat("link type ", need.argument);
    case Needed::kQdisc:
      return cat("queueing discipline ", need.argument);
    case Needed::kBridgeVlans:
      return "bridge VLAN filtering";
    case Needed::kTunDevice:
      return "/dev/net/tun";
    case Needed::kRoutingRules:
      return cat("routing rules for ", need.argument);
    case Needed::kNftables:
      return "nftables";
    case Needed::kIptables:
      return "iptables";
    case Needed::kMasquerade:
      return "iptables or nftables";
    case Needed::kSysctl:
      return cat("sysctl ", need.argument);
    case Needed::kDhcpDaemon:
      return cat("daemon at ", argument_of(need, config));
    case Needed::kFolder:
      break;
  }
  return cat("folder ", argument_of(need, config));
}

}  // namespace cni::cnitool
