#include "pkg/netlink/link.hpp"

#include <linux/if.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "pkg/netlink/message.hpp"
#include "pkg/types/error.hpp"

namespace cni::netlink {
namespace {

ifinfomsg header_for(LinkIndex index) {
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = static_cast<int>(index);
  return header;
}

TunSettings read_tun(const Attributes& data) {
  TunSettings tun;
  tun.tap = data.u8(IFLA_TUN_TYPE) == IFF_TAP;
  tun.persistent = data.u8(IFLA_TUN_PERSIST) != 0;
  tun.multi_queue = data.u8(IFLA_TUN_MULTI_QUEUE) != 0;
  if (data.has(IFLA_TUN_OWNER)) tun.owner = data.u32(IFLA_TUN_OWNER);
  if (data.has(IFLA_TUN_GROUP)) tun.group = data.u32(IFLA_TUN_GROUP);
  return tun;
}

// The kernel answers with all of the link's IPv4 parameters as one array.
std::uint32_t read_tag(const Attributes& families) {
  const std::string_view parameters = families.nested(AF_INET, IFLA_INET_MAX).bytes(IFLA_INET_CONF);
  constexpr std::size_t kOffset = (IPV4_DEVCONF_TAG - 1) * sizeof(std::uint32_t);
  std::uint32_t tag = 0;
  if (parameters.size() >= kOffset + sizeof tag) {
    std::memcpy(&tag, parameters.data() + kOffset, sizeof tag);
  }
  return tag;
}

void read_link_info(const Attributes& info, Link& link) {
  link.kind = info.text(IFLA_INFO_KIND);
  if (link.kind == "macvlan") {
    const Attributes data = info.nested(IFLA_INFO_DATA, IFLA_MACVLAN_MAX);
    link.macvlan_mode = static_cast<MacvlanMode>(data.u32(IFLA_MACVLAN_MODE));
  } else if (link.kind == "ipvlan") {
    const Attributes data = info.nested(IFLA_INFO_DATA, IFLA_IPVLAN_MAX);
    link.ipvlan_mode = static_cast<IpvlanMode>(data.u16(IFLA_IPVLAN_MODE));
  } else if (link.kind == "vlan") {
    link.vlan_id = info.nested(IFLA_INFO_DATA, IFLA_VLAN_MAX).u16(IFLA_VLAN_ID);
  } else if (link.kind == "tun") {
    link.tun = read_tun(info.nested(IFLA_INFO_DATA, IFLA_TUN_MAX));
  } else if (link.kind == "vrf") {
    link.vrf_table = info.nested(IFLA_INFO_DATA, IFLA_VRF_MAX).u32(IFLA_VRF_TABLE);
  }
  if (link.kind == "bridge") {
    const Attributes data = info.nested(IFLA_INFO_DATA, IFLA_BR_MAX);
    // Kernels that cannot filter VLANs say that it is off; only the others know a protocol.
    if (data.has(IFLA_BR_VLAN_PROTOCOL)) {
      link.vlan_filtering = data.u8(IFLA_BR_VLAN_FILTERING) != 0;
    }
    link.default_pvid = data.u16(IFLA_BR_VLAN_DEFAULT_PVID);
  }
  const std::string port_kind = info.text(IFLA_INFO_SLAVE_KIND);
  if (port_kind == "vrf") {
    link.vrf_table = info.nested(IFLA_INFO_SLAVE_DATA, IFLA_VRF_PORT_MAX).u32(IFLA_VRF_PORT_TABLE);
  }
  if (port_kind == "bridge") {
    const Attributes port = info.nested(IFLA_INFO_SLAVE_DATA, IFLA_BRPORT_MAX);
    link.hairpin = port.u8(IFLA_BRPORT_MODE) != 0;
    link.isolated = port.u8(IFLA_BRPORT_ISOLATED) != 0;
  }
}

Mac mac_of(const Attributes& attributes, int type) {
  const std::string_view bytes = attributes.bytes(type);
  return Mac::from_bytes(bytes.data(), bytes.size());
}

Link read_link(const nlmsghdr* message) {
  const auto& header = body_of<ifinfomsg>(message);
  const Attributes attributes(message, sizeof header, IFLA_MAX);
  Link link;
  link.index = LinkIndex{header.ifi_index};
  link.flags = header.ifi_flags;
  link.name = attributes.text(IFLA_IFNAME);
  link.alias = attributes.text(IFLA_IFALIAS);
  link.mac = mac_of(attributes, IFLA_ADDRESS);
  link.permanent_mac = mac_of(attributes, IFLA_PERM_ADDRESS);
  link.bus_device = attributes.text(IFLA_PARENT_DEV_NAME);
  link.mtu = attributes.u32(IFLA_MTU);
  link.tx_queue_length = attributes.u32(IFLA_TXQLEN);
  link.state = OperState{attributes.u8(IFLA_OPERSTATE)};
  link.master = LinkIndex{static_cast<int>(attributes.u32(IFLA_MASTER))};
  link.parent = LinkIndex{static_cast<int>(attributes.u32(IFLA_LINK))};
  if (attributes.has(IFLA_LINK_NETNSID)) {
    link.parent_netns_id = static_cast<int>(attributes.u32(IFLA_LINK_NETNSID));
  }
  link.promiscuity = attributes.u32(IFLA_PROMISCUITY);
  link.tag = read_tag(attributes.nested(IFLA_AF_SPEC, AF_INET));
  if (attributes.has(IFLA_LINKINFO)) {
    read_link_info(attributes.nested(IFLA_LINKINFO, IFLA_INFO_MAX), link);
  }
  return link;
}

std::optional<Link> look_up(Socket& socket, Message& message, std::string_view operation) {
  message.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  std::optional<Link> found;
  try {
    socket.get(message, operation, [&](const nlmsghdr* reply) { found = read_link(reply); });
  } catch (const Error& error) {
    if (error.sys_errno != ENODEV) throw;
  }
  return found;
}

Error no_such_link(std::string_view name) {
  return Error(Code::kSystemCall, cat("failed to lookup ", quote(name), ": no such device"), {},
               ENODEV);
}

}  // namespace

std::string_view to_string(OperState state) {
  switch (state) {
    case OperState::kUnknown:
      return "unknown";
    case OperState::kNotPresent:
      return "not-present";
    case OperState::kDown:
      return "down";
    case OperState::kLowerLayerDown:
      return "lower-layer-down";
    case OperState::kTesting:
      return "testing";
    case OperState::kDormant:
      return "dormant";
    case OperState::kUp:
      break;
  }
  return "up";
}

bool Link::is_up() const { return (flags & IFF_UP) != 0; }
bool Link::is_promiscuous() const { return (flags & IFF_PROMISC) != 0; }
bool Link::is_all_multicast() const { return (flags & IFF_ALLMULTI) != 0; }

void check_link_name(std::string_view name) {
  const bool bad_character = std::any_of(name.begin(), name.end(), [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return octet <= 0x20 || octet == 0x7f || c == '/' || c == ':';
  });
  if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == ".." || bad_character) {
    throw Error(Code::kInvalidNetworkConfig,
                cat(quote(name),
                    " cannot be the name of an interface: it has to have 1 to 15 "
                    "characters, without \"/\", \":\" and white space"));
  }
}

void check_mtu(std::uint32_t mtu, std::string_view key) {
  if (mtu == 0 || (mtu >= kMinMtu && mtu <= kMaxMtu)) return;
  throw Error(Code::kInvalidNetworkConfig,
              cat(key, ": invalid MTU ", mtu, ", must be 0 or from ", kMinMtu, " to ", kMaxMtu));
}

std::optional<Link> find_link(Socket& socket, std::string_view name) {
  check_link_name(name);
  Message message(RTM_GETLINK, 0);
  message.header(ifinfomsg{}).put_string(IFLA_IFNAME, name);
  return look_up(socket, message, cat("look up link ", name));
}

std::optional<Link> find_link(Socket& socket, LinkIndex index) {
  Message message(RTM_GETLINK, 0);
  message.header(header_for(index));
  return look_up(socket, message, cat("look up link with index ", static_cast<int>(index)));
}

Link get_link(Socket& socket, std::string_view name) {
  auto found = find_link(socket, name);
  if (!found) throw no_such_link(name);
  return *std::move(found);
}

Link get_link(Socket& socket, LinkIndex index) {
  auto found = find_link(socket, index);
  if (!found) throw no_such_link(cat("index ", static_cast<int>(index)));
  return *std::move(found);
}

std::optional<Link> find_link_if(Socket& socket,
                                 const std::function<bool(const Link&)>& condition) {
  Message message(RTM_GETLINK, 0);
  message.header(ifinfomsg{}).put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  std::optional<Link> found;
  const auto take = [&](const nlmsghdr* reply) {
    if (found) return;
    Link link = read_link(reply);
    if (condition(link)) found = std::move(link);
  };
  socket.dump(message, "list links", take, [&] { found.reset(); });
  return found;
}

std::vector<Link> list_links(Socket& socket, std::string_view kind) {
  Message message(RTM_GETLINK, 0);
  message.header(ifinfomsg{}).put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  message.nest(IFLA_LINKINFO, [&](Message& info) { info.put_string(IFLA_INFO_KIND, kind); });
  std::vector<Link> found;
  const auto take = [&](const nlmsghdr* reply) {
    Link link = read_link(reply);
    // A kernel that does not know the type does not filter either.
    if (link.kind == kind) found.push_back(std::move(link));
  };
  socket.dump(message, cat("list ", kind, " links"), take, [&] { found.clear(); });
  return found;
}

bool has_ports(Socket& socket, LinkIndex master) {
  Message message(RTM_GETLINK, 0);
  message.header(ifinfomsg{}).put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  message.put_u32(IFLA_MASTER, static_cast<std::uint32_t>(master));
  bool found = false;
  const auto take = [&](const nlmsghdr* reply) { found |= read_link(reply).master == master; };
  socket.dump(message, cat("list the ports of link ", static_cast<int>(master)), take,
              [&] { found = false; });
  return found;
}

void change_link(Socket& socket, LinkIndex index, const LinkChange& change,
                 std::string_view operation) {
  ifinfomsg header = header_for(index);
  const auto set_flag = [&](const std::optional<bool>& wanted, unsigned flag) {
    if (!wanted) return;
    header.ifi_change |= flag;
    if (*wanted) header.ifi_flags |= flag;
  };
  set_flag(change.up, IFF_UP);
  set_flag(change.promiscuous, IFF_PROMISC);
  set_flag(change.all_multicast, IFF_ALLMULTI);

  Message message(RTM_SETLINK, 0);
  message.header(header);
  if (change.netns_fd >= 0) {
    message.put_u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(change.netns_fd));
  }
  if (change.master) message.put_u32(IFLA_MASTER, static_cast<std::uint32_t>(*change.master));
  if (change.mac) message.put_mac(IFLA_ADDRESS, *change.mac);
  if (change.mtu) message.put_u32(IFLA_MTU, *change.mtu);
  if (change.tx_queue_length) message.put_u32(IFLA_TXQLEN, *change.tx_queue_length);
  if (change.tag) {
    message.nest(IFLA_AF_SPEC, [&](Message& families) {
      families.nest(AF_INET, [&](Message& ipv4) {
        ipv4.nest(IFLA_INET_CONF,
                  [&](Message& parameters) { parameters.put_u32(IPV4_DEVCONF_TAG, *change.tag); });
      });
    });
  }
  if (change.alias) message.put(IFLA_IFALIAS, change.alias->data(), change.alias->size());
  if (change.name) {
    check_link_name(*change.name);
    message.put_string(IFLA_IFNAME, *change.name);
  }
  socket.request(message, operation);
}

void set_up(Socket& socket, LinkIndex index) {
  LinkChange change;
  change.up = true;
  change_link(socket, index, change, cat("set link ", static_cast<int>(index), " up"));
}

void set_down(Socket& socket, LinkIndex index) {
  LinkChange change;
  change.up = false;
  change_link(socket, index, change, cat("set link ", static_cast<int>(index), " down"));
}

void set_bridge_port_flags(Socket& socket, LinkIndex index, const BridgePortFlags& flags) {
  Message message(RTM_NEWLINK, 0);
  message.header(header_for(index)).nest(IFLA_LINKINFO, [&](Message& info) {
    info.put_string(IFLA_INFO_SLAVE_KIND, "bridge").nest(IFLA_INFO_SLAVE_DATA, [&](Message& port) {
      port.put_u8(IFLA_BRPORT_MODE, flags.hairpin ? 1 : 0);
      port.put_u8(IFLA_BRPORT_ISOLATED, flags.isolated ? 1 : 0);
    });
  });
  socket.request(message, cat("set the bridge port flags of link ", static_cast<int>(index)));
}

std::optional<OperState> wait_until_up(Socket& socket, LinkIndex index,
                                       std::chrono::milliseconds deadline) {
  std::optional<OperState> last;
  const auto settled = [&] {
    const auto link = find_link(socket, index);
    last = link ? std::optional(link->state) : std::nullopt;
    if (!link || link->state == OperState::kUp) return true;
    // A veth has a carrier; its state is unknown only until the kernel has first looked at it.
    return link->state == OperState::kUnknown && link->kind != "veth";
  };
  if (settled()) return last;

  Socket notifications = Socket::open();
  notifications.subscribe(RTNLGRP_LINK);
  if (settled()) return last;  // it may have changed before the subscription
  (void)notifications.wait_for(deadline, [&](const nlmsghdr* message) {
    if (message == nullptr) return settled();
    const auto& header = body_of<ifinfomsg>(message);
    return LinkIndex{header.ifi_index} == index && settled();
  });
  return last;
}

}  // namespace cni::netlink
