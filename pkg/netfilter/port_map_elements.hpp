// The elements of published ports in nftables: what belongs to one attachment. Private to this
// folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/netfilter/conntrack.hpp"
#include "pkg/netfilter/nft.hpp"
#include "pkg/netfilter/port_map.hpp"

namespace cni::netfilter::published {

// `ip cni_hostport` or `ip6 cni_hostport`: the reference's tables, in which our chains, maps and
// sets stand beside its own.
NftTable table(Family family);

// Where connections go: protocol and port, with the host's address before them if only one is
// published.
inline constexpr std::string_view kPorts = "published_ports";
inline constexpr std::string_view kAddressPorts = "published_address_ports";
// The same keys, of mappings that not everybody may use, with the chain that tells who may.
inline constexpr std::string_view kGuardedPorts = "guarded_ports";
inline constexpr std::string_view kGuardedAddressPorts = "guarded_address_ports";
// Containers' addresses whose connections get the host's address: if they come from 127.0.0.0/8 or
// ::1, or all of them.
inline constexpr std::string_view kFromLocalhost = "published_from_localhost";
inline constexpr std::string_view kFromAnywhere = "published_from_anywhere";
// The attachments: the digest that their comments begin with, and what Holding says.
inline constexpr std::string_view kOwners = "published_owners";
// What the names of sets with the containers of one subnet begin with.
inline constexpr std::string_view kWithinPrefix = "published_within_";
// What the names of chains begin with that tell who may use a mapping.
inline constexpr std::string_view kGuardPrefix = "guard_";

// One element, and the map or set it is of.
struct Placed {
  std::string set;
  NftElement element;
};

// The map that a mapping's element is in, and its key.
std::string_view map_of(const PortMapping& mapping);
std::string_view guarded_map_of(const PortMapping& mapping);
std::string key_of(const PortMapping& mapping);
// Whether an element of kPorts or kAddressPorts leads to that address.
bool leads_to(const NftElement& element, const Ip& target);

// What an element of kOwners says: how many elements the attachment has in the family besides, and
// the host's end of its link.
struct Holding {
  std::uint32_t elements = 0;
  bool has_guards = false;
  netlink::LinkIndex host_link = netlink::LinkIndex::kNone;
};
Holding holding_in(const NftElement& owner);

// All elements of one attachment in one family, but for guards. Those of one set stand together.
std::vector<Placed> elements_of(const PortMapSpec& spec, const Prefix& target);
// Those of them that say where connections get the host's address, and where all that could say so
// would be.
std::vector<Placed> masquerade_elements_of(const PortMapSpec& spec, const Prefix& target);
std::vector<Placed> masquerade_places(const Prefix& target);
// Where all elements would be, whatever the configuration says of snat and masqAll.
std::vector<Placed> places_of(const PortMapSpec& spec, const Prefix& target);

// "tcp 8080", or the address or attachment that the element is for, for messages.
std::string describe(const Placed& place, Family family);
// What a UDP client sends to who uses that port; absent for another protocol or set.
std::optional<UdpDestination> udp_destination(const Placed& place, Family family);

// The set with the containers of the target's subnet, and whether the target is a lone address.
std::string within_name(const Prefix& target);
bool is_lone(const Prefix& target);

}  // namespace cni::netfilter::published
