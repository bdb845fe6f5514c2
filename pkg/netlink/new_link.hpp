// Making network interfaces, each born in its namespace under its final name, and whether the
// kernel can.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/address.hpp"

namespace cni::netlink {

// Whether the kernel has a link type ("veth", "bridge", "macvlan"), loading its module if need be.
// Creates nothing.
bool kernel_has_link_kind(Socket& socket, std::string_view kind);

// Throws Code::kMissingKernelFeature `the kernel has no macvlan support (CONFIG_MACVLAN)` if it has
// not.
void require_link_kind(Socket& socket, std::string_view kind);

struct BridgeSpec {
  std::string name;
  std::uint32_t mtu = 0;  // 0: the kernel's default
  Mac mac;                // fixed, so that it never follows the ports
  bool vlan_filtering = false;
};
// Creates a bridge that is down. Returns false, and changes nothing, if a link of that name exists.
bool ensure_bridge(Socket& socket, const BridgeSpec& spec);

// Each add_... creates a link that is down. It throws with EEXIST if the name is taken where the
// link is born, and Code::kMissingKernelFeature if the kernel does not have the link type.

struct VethSpec {
  std::string name;
  Mac mac;                // empty: the kernel chooses
  std::uint32_t mtu = 0;  // of both ends; 0: the kernel's default
  std::string peer_name;
  int peer_netns_fd = -1;  // namespace in which the peer is born; -1: this one
};
// Throws with EEXIST also if the peer's name is taken.
void add_veth(Socket& socket, const VethSpec& spec);

// A link that stands on another one of the socket's namespace. Before Linux 6.14 it cannot be born
// in another namespace under a name that is taken in the socket's: EEXIST.
struct Child {
  std::string name;
  LinkIndex parent = LinkIndex::kNone;
  int netns_fd = -1;  // namespace in which it is born; -1: the socket's
};

struct MacvlanSpec {
  Child link;
  MacvlanMode mode = MacvlanMode::kBridge;
  std::uint32_t mtu = 0;           // 0: the parent's
  Mac mac;                         // empty: the kernel chooses
  std::uint32_t bc_queue_len = 0;  // 0: not set
};
// Throws with EBUSY if the parent is held by something else.
void add_macvlan(Socket& socket, const MacvlanSpec& spec);

struct IpvlanSpec {
  Child link;
  IpvlanMode mode = IpvlanMode::kL2;
  std::uint32_t mtu = 0;  // 0: the parent's
};
// Throws with EBUSY if the parent is held by something else.
void add_ipvlan(Socket& socket, const IpvlanSpec& spec);

struct VlanSpec {
  Child link;
  std::uint16_t id = 0;   // IEEE 802.1Q, 0 to 4094
  std::uint32_t mtu = 0;  // 0: the parent's
};
// Throws with EEXIST also if the parent has a vlan of that id, in whichever namespace.
void add_vlan(Socket& socket, const VlanSpec& spec);

struct VrfSpec {
  std::string name;
  std::uint32_t table = 0;  // where its ports look for routes; not 0
};
// Unlike the others it is up: its ports could not send otherwise.
void add_vrf(Socket& socket, const VrfSpec& spec);

struct DummySpec {
  std::string name;
};
void add_dummy(Socket& socket, const DummySpec& spec);

// An interface that takes what is redirected to it, queues it and gives it back (ifb). Without a
// queue of the kernel's own.
struct IfbSpec {
  std::string name;
  std::uint32_t mtu = 0;  // 0: the kernel's default
};
void add_ifb(Socket& socket, const IfbSpec& spec);

}  // namespace cni::netlink
