// The two backends of port_map.hpp; private to this folder.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "pkg/netfilter/connection.hpp"
#include "pkg/netfilter/conntrack.hpp"
#include "pkg/netfilter/iptables.hpp"
#include "pkg/netfilter/port_map.hpp"
#include "pkg/netlink/socket.hpp"

namespace cni::netfilter {

// The UDP ports of what was removed, as far as they could be seen: their flows are to be forgotten.
using RemovedPorts = std::vector<UdpDestination>;

// Tables, maps and elements of nftables. Each of these does its work in one transaction, repeated
// when others changed what it was built on.
struct NftPortMap {
  static void add(netlink::Socket& socket, const PortMapSpec& spec);
  // Puts what `now` publishes in the place of what the attachment has, which may be `was`.
  static void replace(netlink::Socket& socket, const PortMapSpec& was, const PortMapSpec& now);
  // The conditions, which are given in nft's own words: runs nft if there are any. Until then, or
  // if it fails, the ports are published for nobody.
  static void add_conditions(const PortMapSpec& spec);
  static RemovedPorts remove(netlink::Socket& socket, const PortMapSpec& spec);
  // False if all that it has found is the reference plugins'.
  static bool check(netlink::Socket& socket, const PortMapSpec& spec);
  static RemovedPorts gc(netlink::Socket& socket, std::string_view network,
                         std::span<const Attachment> valid);
};

// Chains and rules of iptables. What iptables keeps in nf_tables (all of it, unless it is the older
// implementation) is found and removed over netlink; programs are run to add and to check.
struct IptablesPortMap {
  // Adds to one family; throws if iptables refuses it.
  static void add(const Iptables& iptables, Connection& connection, Family family,
                  const PortMapSpec& spec);
  // Without a socket (a kernel without nf_tables) only the older implementation's rules.
  static RemovedPorts remove(netlink::Socket* socket, const PortMapSpec& spec);
  static void check(const Iptables& iptables, Family family, const PortMapSpec& spec);
  static RemovedPorts gc(netlink::Socket* socket, std::string_view network,
                         std::span<const Attachment> valid, std::string_view search_path);
  // Whether the attachment's chain is there, in either implementation's tables as far as netlink
  // and /proc tell.
  static bool has_chain(netlink::Socket& socket, Family family, const PortMapSpec& spec);
};

}  // namespace cni::netfilter
