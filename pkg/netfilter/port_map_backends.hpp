// The two backends of port_map.hpp; private to this folder.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "pkg/netfilter/conntrack.hpp"
#include "pkg/netfilter/port_map.hpp"
#include "pkg/netlink/socket.hpp"

namespace cni::netfilter {

// Maps and elements of nftables. Each of these does its work in one transaction, repeated when
// others changed what it was built on.
struct NftPortMap {
  static void add(netlink::Socket& socket, const PortMapSpec& spec);
  // The conditions, which are given in nft's own words: runs nft if there are any. Until then, or
  // if it fails, the ports are published for nobody.
  static void add_conditions(const PortMapSpec& spec);
  // What UDP clients sent to that used what was removed.
  static std::vector<UdpDestination> remove(netlink::Socket& socket, const PortMapSpec& spec);
  static void check(netlink::Socket& socket, const PortMapSpec& spec);
  static void gc(netlink::Socket& socket, std::string_view network,
                 std::span<const Attachment> valid);
};

}  // namespace cni::netfilter
