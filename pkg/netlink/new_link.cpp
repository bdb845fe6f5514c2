#include "pkg/netlink/new_link.hpp"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "pkg/netlink/message.hpp"
#include "pkg/types/error.hpp"

namespace cni::netlink {
namespace {

struct KernelOption {
  std::string_view kind;
  std::string_view option;
};
// What the link types are called in the kernel's configuration (drivers/net/Kconfig and others).
constexpr std::array kKernelOptions = {
    KernelOption{"bridge", "CONFIG_BRIDGE"},   KernelOption{"dummy", "CONFIG_DUMMY"},
    KernelOption{"ifb", "CONFIG_IFB"},         KernelOption{"ipvlan", "CONFIG_IPVLAN"},
    KernelOption{"macvlan", "CONFIG_MACVLAN"}, KernelOption{"veth", "CONFIG_VETH"},
    KernelOption{"vlan", "CONFIG_VLAN_8021Q"}, KernelOption{"vrf", "CONFIG_NET_VRF"}};

std::string no_support(std::string_view kind) {
  for (const KernelOption& row : kKernelOptions) {
    if (row.kind == kind) return cat("the kernel has no ", kind, " support (", row.option, ")");
  }
  return cat("the kernel has no ", kind, " support");
}

Message new_link(std::string_view name) {
  check_link_name(name);
  Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  message.header(ifinfomsg{}).put_string(IFLA_IFNAME, name);
  return message;
}

// Fills IFLA_LINKINFO for a link type; data(message) writes its IFLA_INFO_DATA.
template <class Data>
void put_kind(Message& message, std::string_view kind, Data&& data) {
  message.nest(IFLA_LINKINFO, [&](Message& info) {
    info.put_string(IFLA_INFO_KIND, kind).nest(IFLA_INFO_DATA, data);
  });
}

Message new_child(const Child& link, std::uint32_t mtu) {
  Message message = new_link(link.name);
  message.put_u32(IFLA_LINK, static_cast<std::uint32_t>(link.parent));
  if (mtu != 0) message.put_u32(IFLA_MTU, mtu);
  if (link.netns_fd >= 0) {
    message.put_u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(link.netns_fd));
  }
  return message;
}

// A kernel without the link type answers EOPNOTSUPP; the message then names what is missing.
void create_link(Socket& socket, Message& message, std::string_view kind, std::string_view name) {
  const std::string operation = cat("add ", kind, " ", name);
  try {
    socket.request(message, operation);
  } catch (Error& error) {
    if (error.sys_errno != EOPNOTSUPP) throw;
    Error named(Code::kMissingKernelFeature, cat(operation, ": ", no_support(kind)), error.details,
                error.sys_errno);
    throw named;
  }
}

}  // namespace

bool kernel_has_link_kind(Socket& socket, std::string_view kind) {
  // An address of the wrong size, and no parent: the link type's own validation refuses it
  // (EINVAL); where there is no such type the kernel does not get that far (EOPNOTSUPP).
  Message message = new_link("cni-probe");
  message.put_u16(IFLA_ADDRESS, 0);
  put_kind(message, kind, [](Message&) {});
  try {
    socket.request(message, cat("probe for ", kind));
  } catch (const Error& error) {
    return error.sys_errno != EOPNOTSUPP;
  }
  (void)remove_link(socket, "cni-probe");
  return true;
}

void require_link_kind(Socket& socket, std::string_view kind) {
  if (kernel_has_link_kind(socket, kind)) return;
  throw Error(Code::kMissingKernelFeature, no_support(kind), {}, EOPNOTSUPP);
}

bool ensure_bridge(Socket& socket, const BridgeSpec& spec) {
  Message message = new_link(spec.name);
  if (spec.mtu != 0) message.put_u32(IFLA_MTU, spec.mtu);
  if (!spec.mac.empty()) message.put_mac(IFLA_ADDRESS, spec.mac);
  put_kind(message, "bridge", [&](Message& data) {
    if (spec.vlan_filtering) data.put_u8(IFLA_BR_VLAN_FILTERING, 1);
  });
  try {
    create_link(socket, message, "bridge", spec.name);
    return true;
  } catch (const Error& error) {
    if (error.sys_errno == EEXIST) return false;
    throw;
  }
}

void add_veth(Socket& socket, const VethSpec& spec) {
  check_link_name(spec.peer_name);
  Message message = new_link(spec.name);
  if (spec.mtu != 0) message.put_u32(IFLA_MTU, spec.mtu);
  if (!spec.mac.empty()) message.put_mac(IFLA_ADDRESS, spec.mac);
  put_kind(message, "veth", [&](Message& data) {
    data.nest(VETH_INFO_PEER, [&](Message& peer) {
      peer.header(ifinfomsg{}).put_string(IFLA_IFNAME, spec.peer_name);
      if (spec.mtu != 0) peer.put_u32(IFLA_MTU, spec.mtu);
      if (spec.peer_netns_fd >= 0) {
        peer.put_u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(spec.peer_netns_fd));
      }
    });
  });
  create_link(socket, message, "veth", cat("pair ", spec.name, " and ", spec.peer_name));
}

void add_macvlan(Socket& socket, const MacvlanSpec& spec) {
  Message message = new_child(spec.link, spec.mtu);
  if (!spec.mac.empty()) message.put_mac(IFLA_ADDRESS, spec.mac);
  put_kind(message, "macvlan", [&](Message& data) {
    data.put_u32(IFLA_MACVLAN_MODE, static_cast<std::uint32_t>(spec.mode));
    if (spec.bc_queue_len != 0) data.put_u32(IFLA_MACVLAN_BC_QUEUE_LEN, spec.bc_queue_len);
  });
  create_link(socket, message, "macvlan", spec.link.name);
}

void add_ipvlan(Socket& socket, const IpvlanSpec& spec) {
  Message message = new_child(spec.link, spec.mtu);
  put_kind(message, "ipvlan", [&](Message& data) {
    data.put_u16(IFLA_IPVLAN_MODE, static_cast<std::uint16_t>(spec.mode));
  });
  create_link(socket, message, "ipvlan", spec.link.name);
}

void add_vlan(Socket& socket, const VlanSpec& spec) {
  Message message = new_child(spec.link, spec.mtu);
  put_kind(message, "vlan", [&](Message& data) { data.put_u16(IFLA_VLAN_ID, spec.id); });
  create_link(socket, message, "vlan", spec.link.name);
}

void add_vrf(Socket& socket, const VrfSpec& spec) {
  check_link_name(spec.name);
  Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  ifinfomsg header{};
  header.ifi_flags = IFF_UP;
  header.ifi_change = IFF_UP;
  message.header(header).put_string(IFLA_IFNAME, spec.name);
  put_kind(message, "vrf", [&](Message& data) { data.put_u32(IFLA_VRF_TABLE, spec.table); });
  create_link(socket, message, "vrf", spec.name);
}

void add_dummy(Socket& socket, const DummySpec& spec) {
  Message message = new_link(spec.name);
  put_kind(message, "dummy", [](Message&) {});
  create_link(socket, message, "dummy", spec.name);
}

void add_ifb(Socket& socket, const IfbSpec& spec) {
  Message message = new_link(spec.name);
  if (spec.mtu != 0) message.put_u32(IFLA_MTU, spec.mtu);
  message.put_u32(IFLA_TXQLEN, 0);
  put_kind(message, "ifb", [](Message&) {});
  create_link(socket, message, "ifb", spec.name);
}

}  // namespace cni::netlink
