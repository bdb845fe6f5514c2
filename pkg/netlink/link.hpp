// Network interfaces.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/netlink/socket.hpp"
#include "pkg/types/address.hpp"

namespace cni::netlink {

enum class LinkIndex : int { kNone = 0 };

// RFC 2863 operational state (IF_OPER_... in linux/if.h).
enum class OperState : std::uint8_t {
  kUnknown = 0,
  kNotPresent = 1,
  kDown = 2,
  kLowerLayerDown = 3,
  kTesting = 4,
  kDormant = 5,
  kUp = 6,
};
std::string_view to_string(OperState state);

// MACVLAN_MODE_... and IPVLAN_MODE_... of linux/if_link.h.
enum class MacvlanMode : std::uint32_t { kPrivate = 1, kVepa = 2, kBridge = 4, kPassthru = 8 };
enum class IpvlanMode : std::uint16_t { kL2 = 0, kL3 = 1, kL3s = 2 };

// IFLA_TUN_... of linux/if_link.h.
struct TunSettings {
  bool tap = false;  // Ethernet frames; otherwise IP packets
  bool persistent = false;
  bool multi_queue = false;
  std::optional<std::uint32_t> owner;
  std::optional<std::uint32_t> group;
};

struct Link {
  LinkIndex index = LinkIndex::kNone;
  std::string name;
  std::string alias;
  Mac mac;
  Mac permanent_mac;       // of a device that has one, from Linux 5.6 on
  std::string bus_device;  // "0000:00:1f.6" for a PCI device, from Linux 5.14 on
  std::uint32_t mtu = 0;
  std::uint32_t tx_queue_length = 0;
  unsigned flags = 0;  // IFF_...
  OperState state = OperState::kUnknown;
  LinkIndex master = LinkIndex::kNone;
  LinkIndex parent = LinkIndex::kNone;  // IFLA_LINK: a veth's peer, a macvlan's master
  std::optional<int> parent_netns_id;   // if the parent is in another namespace; -1: without an id
  std::uint32_t promiscuity = 0;
  std::uint32_t tag = 0;  // net.ipv4.conf.NAME.tag, a number that the kernel does not act on
  std::string kind;       // "veth", "bridge" ...; empty for a physical device
  std::optional<MacvlanMode> macvlan_mode;
  std::optional<IpvlanMode> ipvlan_mode;
  std::optional<std::uint16_t> vlan_id;  // of a vlan: IEEE 802.1Q
  std::optional<TunSettings> tun;        // of a tun or tap device
  std::optional<bool> isolated;          // of a bridge port
  std::optional<bool> hairpin;           // of a bridge port
  std::optional<bool> vlan_filtering;    // of a bridge; absent if the kernel cannot
  std::uint16_t default_pvid = 0;        // of a bridge: the VLAN that new ports get; 0: none
  std::uint32_t vrf_table = 0;           // of a VRF and of its ports: where they look for routes

  bool is_up() const;
  // Set by somebody, not needed by something that stands on the link.
  bool is_promiscuous() const;
  bool is_all_multicast() const;
};

// Throws Code::kInvalidNetworkConfig unless text is a name that the kernel takes: 1 to 15 octets,
// not "." or "..", without "/", ":" and white space.
void check_link_name(std::string_view name);

inline constexpr std::uint32_t kMinMtu = 68;     // RFC 791: what every IPv4 link has to carry
inline constexpr std::uint32_t kMaxMtu = 65535;  // ETH_MAX_MTU

// Throws Code::kInvalidNetworkConfig, naming `key`, for an MTU that no virtual interface takes. 0
// (not set) passes.
void check_mtu(std::uint32_t mtu, std::string_view key);

// Absent if there is no such link. One request, no dump.
std::optional<Link> find_link(Socket& socket, std::string_view name);
std::optional<Link> find_link(Socket& socket, LinkIndex index);

// As find_link, but throws Code::kSystemCall (ENODEV) `failed to lookup "eth0": no such device`.
Link get_link(Socket& socket, std::string_view name);
Link get_link(Socket& socket, LinkIndex index);

// The name of the first link of the socket's namespace that satisfies a condition. A dump: for
// diagnoses only.
std::optional<Link> find_link_if(Socket& socket, const std::function<bool(const Link&)>& condition);

// The links of one type ("ipvlan") in the socket's namespace; only these leave the kernel, which
// filters.
std::vector<Link> list_links(Socket& socket, std::string_view kind);

// Whether any link has that one as its master; the kernel filters.
bool has_ports(Socket& socket, LinkIndex master);

// Several changes of one link in one message, applied together in the kernel's order. Unset ones
// are left alone.
struct LinkChange {
  std::optional<bool> up;
  std::optional<LinkIndex> master;
  std::optional<Mac> mac;
  std::optional<std::uint32_t> mtu;
  std::optional<std::string> alias;
  std::optional<std::string> name;
  std::optional<bool> promiscuous;
  std::optional<bool> all_multicast;
  std::optional<std::uint32_t> tx_queue_length;
  // Kept until the link leaves the namespace. Refused (EAFNOSUPPORT) for a link without IPv4.
  std::optional<std::uint32_t> tag;
  // Moves the link, which goes down, to another namespace. It keeps its name there unless that is
  // taken or `name` is set; everything else is changed after the move, which stays done if one of
  // those is refused. The tag, unless it is given, and all addresses are gone with the move.
  int netns_fd = -1;
};
void change_link(Socket& socket, LinkIndex index, const LinkChange& change,
                 std::string_view operation);
void set_up(Socket& socket, LinkIndex index);
void set_down(Socket& socket, LinkIndex index);

struct BridgePortFlags {
  bool hairpin = false;
  bool isolated = false;
};
// The link has to be a bridge port.
void set_bridge_port_flags(Socket& socket, LinkIndex index, const BridgePortFlags& flags);

// False if there is no such link.
bool remove_link(Socket& socket, LinkIndex index);
bool remove_link(Socket& socket, std::string_view name);

// Waits until the link is operationally up (kUnknown counts, but not for a veth: drivers without
// carrier report it).
// Uses notifications on a socket of its own; `socket` is used to look. Returns the last state seen;
// absent if the link is gone.
std::optional<OperState> wait_until_up(Socket& socket, LinkIndex index,
                                       std::chrono::milliseconds deadline);

}  // namespace cni::netlink
