// The two backends of masquerade.hpp; private to this folder.
#pragma once

#include <span>
#include <string_view>

#include "pkg/netfilter/iptables.hpp"
#include "pkg/netfilter/masquerade.hpp"
#include "pkg/netlink/socket.hpp"

namespace cni::netfilter {

// Tables, sets and elements of nftables. Each of these does its work in one transaction, repeated
// when others changed what it was built on.
struct NftMasquerading {
  static void add(netlink::Socket& socket, const MasqueradeSpec& spec);
  static void remove(netlink::Socket& socket, const MasqueradeSpec& spec);
  static void check(netlink::Socket& socket, const MasqueradeSpec& spec);
  static void gc(netlink::Socket& socket, std::string_view network,
                 std::span<const Attachment> valid);
};

// Chains and rules of iptables. What iptables keeps in nf_tables (all of it, unless it is the older
// implementation) is found and removed over netlink; programs are run to add and to check.
struct IptablesMasquerading {
  // Adds to one family; throws if iptables refuses it.
  static void add(const Iptables& iptables, Family family, const MasqueradeSpec& spec);
  // Without a socket (a kernel without nf_tables) only the older implementation's rules.
  static void remove(netlink::Socket* socket, const MasqueradeSpec& spec);
  static void check(const Iptables& iptables, Family family, const MasqueradeSpec& spec);
  static void gc(netlink::Socket* socket, std::string_view network,
                 std::span<const Attachment> valid, std::string_view search_path);
  // Whether the attachment's chain is there, in either implementation's tables as far as netlink
  // and /proc tell.
  static bool has_chain(netlink::Socket& socket, Family family, const MasqueradeSpec& spec);
};

// The addresses of one family.
std::vector<Prefix> addresses_of(const MasqueradeSpec& spec, Family family);

}  // namespace cni::netfilter
