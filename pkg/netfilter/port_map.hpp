// Published ports: connections to a port of the host go to a port of a container. Two backends,
// iptables and nftables. iptables has the chains and rules of the reference plugins; nftables
// their tables with maps of our own (docs/netfilter.md).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/netfilter/connection.hpp"
#include "pkg/netfilter/owner.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/os/undo.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/config.hpp"

namespace cni::netfilter {

// IPPROTO_ numbers.
enum class Transport : std::uint8_t { kTcp = 6, kUdp = 17, kSctp = 132 };
// "tcp", "udp", "sctp".
std::string_view to_string(Transport transport);

struct PortMapping {
  std::uint16_t host_port = 0;
  std::uint16_t container_port = 0;
  Transport transport = Transport::kTcp;
  // The only address of the host whose port is published. Absent: all of them; 0.0.0.0 or ::: all
  // of the family.
  std::optional<Ip> host_ip;
  // Who may connect; empty: everybody. For others the port is as if it were not published.
  std::vector<Prefix> sources;

  // "tcp 10.0.0.1:8080", as messages name it.
  std::string to_string() const;
  bool operator==(const PortMapping& other) const = default;
};

// The published ports of one attachment. All functions below work in the calling thread's network
// namespace.
struct PortMapSpec {
  Owner owner;
  // Where connections go: at most one address of each family, with the length of its subnet. DEL
  // may leave this empty: unknown.
  std::vector<Prefix> targets;
  // DEL may leave this empty: unknown.
  std::vector<PortMapping> mappings;
  // The host's end of the container's link, with which the container's ports are gone; kNone:
  // unknown. Only ADD needs it.
  netlink::LinkIndex host_link = netlink::LinkIndex::kNone;
  // "iptables", "nftables", or empty: iptables, unless that cannot be used and nftables can.
  std::string backend;
  // Gives connections the host's address where the answer would not come back otherwise: from the
  // container's own subnet, and from 127.0.0.1.
  bool snat = true;
  // Gives all connections the host's address.
  bool masquerade_all = false;
  // iptables: the bit of the packet's mark that asks for masquerade, 0 to 31.
  unsigned mark_bit = 13;
  // iptables: a chain of somebody else that sets such a mark. Empty: our own.
  std::string external_mark_chain;
  // What a packet has to satisfy besides, in the words of the backend.
  std::vector<std::string> conditions_ipv4;
  std::vector<std::string> conditions_ipv6;
  // PATH of the environment, where programs are looked for before the usual folders.
  std::string search_path;
};

// The address that packets to the mapping have to have; absent if any address of the host will do.
std::optional<Ip> destination_of(const PortMapping& mapping);
// The mappings that concern a family: whose host_ip, if they have one, is of it.
std::vector<PortMapping> mappings_of(const PortMapSpec& spec, Family family);
// The target of the family; absent if there is none.
std::optional<Prefix> target_of(const PortMapSpec& spec, Family family);

// Publishes the ports; may be repeated. Only families that have a target are touched. A port that
// another attachment has is refused with Code::kConflict and its holder's name. Pushes its own undo
// steps.
void add_port_map(const PortMapSpec& spec, os::Undo& undo);

// Changes what a running attachment publishes from `was` to `now`, in nftables as one transaction.
// Connections that are open stay, also to ports that are no longer published; of UDP only the flows
// of ports that come or go are forgotten. May be repeated, and `was` need not be there. Throws as
// add_port_map. Pushes its own undo step.
void replace_port_map(const PortMapSpec& was, const PortMapSpec& now, os::Undo& undo);

// Removes everything that add_port_map, or the reference plugins, made for the attachment, in both
// backends. With known targets and mappings the work does not grow with the number of attachments;
// without, they are found by listing. What is absent is success; a backend that this host does not
// have is skipped.
//
// Keep the connection open while there is other work to do (connection.hpp says why); without one,
// it opens and closes its own.
void remove_port_map(const PortMapSpec& spec, Connection& connection);
void remove_port_map(const PortMapSpec& spec);

// Throws Code::kCheckFailed that names the first thing missing. Without a configured backend either
// one satisfies.
void check_port_map(const PortMapSpec& spec);

// What keeps others out of 127.0.0.0/8 where ports are published there (loopback_guard.hpp),
// whoever has published them. CHECK of ports that may be the reference plugins' does not ask for
// it.
void check_localhost_guard(const PortMapSpec& spec);
void add_localhost_guard(const PortMapSpec& spec);

// Removes the published ports of the network's attachments that are not in the list; other
// networks' are left alone.
void gc_port_map(std::string_view network, std::span<const Attachment> valid,
                 std::string_view search_path);

// For STATUS: throws Code::kPluginNotAvailable if add_port_map could not work with this backend.
void probe_port_map(std::string_view backend, std::string_view search_path);

}  // namespace cni::netfilter
