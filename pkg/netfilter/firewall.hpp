// Which traffic of containers may pass: their own, and what answers it; what may come to them from
// elsewhere (ingress policy), and where they may not send (egress rules). Three backends: iptables
// and firewalld, which have what the reference plugins make, and nftables with a table of its own
// (docs/netfilter.md).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/netfilter/connection.hpp"
#include "pkg/netfilter/owner.hpp"
#include "pkg/netfilter/port_map.hpp"
#include "pkg/os/undo.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/config.hpp"

namespace cni::netfilter {

// What may come to the containers of a bridge from elsewhere.
enum class IngressPolicy : std::uint8_t {
  kOpen,        // everything
  kSameBridge,  // not from other bridges with a policy
  kIsolated,    // nor from the other containers of the bridge
};

// A destination that containers may, or may not, send to.
struct EgressRule {
  Prefix network;
  std::optional<Transport> transport;  // absent: every protocol
  std::uint16_t first_port = 0;        // 0: every port
  std::uint16_t last_port = 0;
};

// The firewall of one attachment. All functions below work in the calling thread's network
// namespace.
struct FirewallSpec {
  Owner owner;
  // The container's addresses. DEL may leave this empty: unknown.
  std::vector<Ip> addresses;
  // "iptables", "nftables", "firewalld", or empty: firewalld if it runs, else iptables, unless that
  // cannot be used and nftables can.
  std::string backend;
  // The bridge whose containers the policy protects; needed unless the policy is kOpen.
  std::string bridge;
  IngressPolicy ingress_policy = IngressPolicy::kOpen;
  // The host's ends of the attachment's links, as far as they are known.
  std::vector<std::string> host_links;
  // iptables: the chain for the operator's own rules.
  std::string admin_chain = "CNI-ADMIN";
  // firewalld: the zone to which the addresses belong.
  std::string zone = "trusted";
  // nftables: the rules of the network, the same for all of its attachments. What is allowed passes
  // even if it is denied too.
  std::vector<EgressRule> egress_deny;
  std::vector<EgressRule> egress_allow;
  // PATH of the environment, where programs are looked for before the usual folders.
  std::string search_path;
  // The address of the system's message bus (DBUS_SYSTEM_BUS_ADDRESS); empty: the usual one.
  std::string bus_address;
};

inline constexpr std::array<std::string_view, 3> kFirewallBackends = {"iptables", "nftables",
                                                                      "firewalld"};

// Lets the attachment's traffic pass; may be repeated. Only families that have an address are
// touched. Pushes its own undo steps. Throws Code::kInvalidNetworkConfig for a backend that is not
// known, egress rules with another backend than nftables, and a policy without a bridge.
void add_firewall(const FirewallSpec& spec, os::Undo& undo);

// Changes a running attachment from `was` to `now`, which have the same addresses; in nftables as
// one transaction. May be repeated, and `was` need not be there. Throws as add_firewall. Pushes its
// own undo step.
void replace_firewall(const FirewallSpec& was, const FirewallSpec& now, os::Undo& undo);

// Removes everything that add_firewall made for the attachment, in all backends, and what the
// reference plugins made for its addresses as far as they are known. What is absent is success; a
// backend that this host does not have is skipped.
//
// Keep the connection open while there is other work to do (connection.hpp says why); without one,
// it opens and closes its own.
void remove_firewall(const FirewallSpec& spec, Connection& connection);
void remove_firewall(const FirewallSpec& spec);

// Throws Code::kCheckFailed that names the first thing missing. Changes nothing.
void check_firewall(const FirewallSpec& spec);

// Removes what belongs to the network's attachments that are not in the list; other networks' are
// left alone.
void gc_firewall(std::string_view network, std::span<const Attachment> valid,
                 const FirewallSpec& spec);

// For STATUS: throws Code::kPluginNotAvailable if add_firewall could not work with this backend.
void probe_firewall(const FirewallSpec& spec);

}  // namespace cni::netfilter
