// What the plugins of the suite need of a host, in one table.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>

namespace cni::cnitool {

enum class Needed {
  kCapability,   // CAP_NET_ADMIN
  kLinkType,     // ipvlan
  kQdisc,        // tbf
  kBridgeVlans,  // VLAN filtering of bridges
  kTunDevice,
  kRoutingRules,  // by source address; IPv4 or IPv6
  kNftables,
  kIptables,
  kMasquerade,  // one of the two
  kSysctl,      // net/ipv4/ip_forward=1: it has that value, or can be given it
  kFolder,      // /var/lib/cni/networks: files can be made in it
  kDhcpDaemon,  // /run/cni/dhcp.sock: somebody listens there
};

struct Need {
  std::string_view plugin;  // empty: every plugin
  Needed what = Needed::kLinkType;
  std::string_view argument;
  // What of a configuration needs it, "ipMasq"; empty: ADD needs it always.
  std::string_view use;
  // Whether a plugin's configuration does; null although `use` is set: only ADD will tell.
  bool (*is_used)(const nlohmann::json& config) = nullptr;
};

std::span<const Need> all_needs();

// The plugins that the table knows.
std::span<const std::string_view> known_plugins();
bool is_known_plugin(std::string_view plugin);

// The argument; for a folder or socket that the configuration moves, the one it moves it to. Here
// and below `config` is the plugin's configuration, or null.
std::string argument_of(const Need& need, const nlohmann::json& config);

// "link type ipvlan", "/dev/net/tun".
std::string describe(const Need& need, const nlohmann::json& config);

// Why the host does not have it, and what to do; empty if it has. Asks the
// kernel, which may load modules, and may run iptables to list its rules; changes nothing.
std::string missing_here(const Need& need, const nlohmann::json& config,
                         std::string_view search_path);

}  // namespace cni::cnitool
