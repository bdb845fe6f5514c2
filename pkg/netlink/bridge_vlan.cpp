#include "pkg/netlink/bridge_vlan.hpp"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "pkg/netlink/message.hpp"

namespace cni::netlink {
namespace {

void put_vlan(Message& message, std::uint16_t vlan, unsigned flags) {
  const bridge_vlan_info info{static_cast<std::uint16_t>(flags), vlan};
  message.put(IFLA_BRIDGE_VLAN_INFO, &info, sizeof info);
}

void put_range(Message& message, const VlanRange& range) {
  unsigned flags = 0;
  if (range.pvid) flags |= BRIDGE_VLAN_INFO_PVID;
  if (range.untagged) flags |= BRIDGE_VLAN_INFO_UNTAGGED;
  if (range.first == range.last) {
    put_vlan(message, range.first, flags);
  } else {
    put_vlan(message, range.first, flags | BRIDGE_VLAN_INFO_RANGE_BEGIN);
    put_vlan(message, range.last, flags | BRIDGE_VLAN_INFO_RANGE_END);
  }
}

// RTM_SETLINK adds, RTM_DELLINK removes. It is the bridge that is asked ("master"), not the port's
// own driver ("self").
void change_vlans(Socket& socket, int type, const Link& port, std::span<const VlanRange> ranges,
                  std::string_view operation) {
  ifinfomsg header{};
  header.ifi_family = AF_BRIDGE;
  header.ifi_index = static_cast<int>(port.index);
  Message message(type, 0);
  message.header(header).nest(IFLA_AF_SPEC, [&](Message& bridge) {
    bridge.put_u16(IFLA_BRIDGE_FLAGS, BRIDGE_FLAGS_MASTER);
    for (const VlanRange& range : ranges) put_range(bridge, range);
  });
  try {
    socket.request(message, operation);
  } catch (Error& error) {
    if (error.sys_errno != EOPNOTSUPP) throw;
    Error named = no_bridge_vlans();
    named.prepend(operation);
    throw named;
  }
}

VlanRange range_of(const bridge_vlan_info& info) {
  return {.first = info.vid,
          .last = info.vid,
          .pvid = (info.flags & BRIDGE_VLAN_INFO_PVID) != 0,
          .untagged = (info.flags & BRIDGE_VLAN_INFO_UNTAGGED) != 0};
}

// Absent if the attribute is too short.
std::optional<bridge_vlan_info> info_of(std::string_view payload) {
  bridge_vlan_info info{};
  if (payload.size() < sizeof info) return std::nullopt;
  std::memcpy(&info, payload.data(), sizeof info);
  return info;
}

// IFLA_AF_SPEC of a port: single VLANs, and ranges as two entries one behind the other.
std::vector<VlanRange> read_link_vlans(std::string_view specification) {
  std::vector<VlanRange> ranges;
  for_each_attribute(specification, [&](const nlattr* attribute) {
    if ((attribute->nla_type & NLA_TYPE_MASK) != IFLA_BRIDGE_VLAN_INFO) return;
    const auto info = info_of(payload_of(attribute));
    if (!info) return;
    if ((info->flags & BRIDGE_VLAN_INFO_RANGE_END) != 0 && !ranges.empty()) {
      ranges.back().last = info->vid;
    } else {
      ranges.push_back(range_of(*info));
    }
  });
  return merge(std::move(ranges));
}

// RTM_NEWVLAN: one BRIDGE_VLANDB_ENTRY for each range.
void read_vlan_entries(const nlmsghdr* message, std::vector<VlanRange>& ranges) {
  const std::size_t offset = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(br_vlan_msg));
  if (message->nlmsg_len <= offset) return;
  const std::string_view entries(reinterpret_cast<const char*>(message) + offset,
                                 message->nlmsg_len - offset);
  for_each_attribute(entries, [&](const nlattr* attribute) {
    if ((attribute->nla_type & NLA_TYPE_MASK) != BRIDGE_VLANDB_ENTRY) return;
    const Attributes entry(attribute, BRIDGE_VLANDB_ENTRY_RANGE);
    const auto info = info_of(entry.bytes(BRIDGE_VLANDB_ENTRY_INFO));
    if (!info) return;
    ranges.push_back(range_of(*info));
    ranges.back().last = entry.u16(BRIDGE_VLANDB_ENTRY_RANGE, info->vid);
  });
}

// Calls fn(header, attributes) for each port of each bridge, bridges themselves included.
template <class Fn>
void for_each_port(Socket& socket, Fn&& fn, const std::function<void()>& restart) {
  ifinfomsg header{};
  header.ifi_family = AF_BRIDGE;
  Message message(RTM_GETLINK, 0);
  message.header(header).put_u32(IFLA_EXT_MASK, RTEXT_FILTER_BRVLAN_COMPRESSED);
  const auto take = [&](const nlmsghdr* reply) {
    fn(body_of<ifinfomsg>(reply), Attributes(reply, sizeof(ifinfomsg), IFLA_MAX));
  };
  socket.dump(message, "list bridge ports", take, restart);
}

// For kernels before 5.6, which only know the VLANs of all ports.
std::vector<VlanRange> find_port_vlans(Socket& socket, const Link& port) {
  std::vector<VlanRange> ranges;
  const auto take = [&](const ifinfomsg& header, const Attributes& attributes) {
    if (LinkIndex{header.ifi_index} != port.index) return;
    ranges = read_link_vlans(attributes.bytes(IFLA_AF_SPEC));
  };
  for_each_port(socket, take, [&] { ranges.clear(); });
  return ranges;
}

}  // namespace

std::string to_string(std::span<const VlanRange> ranges) {
  std::string out;
  for (const VlanRange& range : ranges) {
    out += cat(out.empty() ? "" : ", ", range.first);
    if (range.last != range.first) out += cat("-", range.last);
    if (range.pvid && range.untagged) {
      out += " (PVID, untagged)";
    } else if (range.pvid || range.untagged) {
      out += range.pvid ? " (PVID)" : " (untagged)";
    }
  }
  return out.empty() ? "none" : out;
}

std::vector<VlanRange> merge(std::vector<VlanRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const VlanRange& a, const VlanRange& b) { return a.first < b.first; });
  std::vector<VlanRange> out;
  for (const VlanRange& range : ranges) {
    const bool joins = !out.empty() && range.first <= out.back().last + 1 && !range.pvid &&
                       !out.back().pvid && range.untagged == out.back().untagged;
    if (joins) {
      out.back().last = std::max(out.back().last, range.last);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

bool contains(std::span<const VlanRange> ranges, std::uint16_t vlan) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [vlan](const VlanRange& range) { return range.contains(vlan); });
}

bool kernel_has_bridge_vlans(Socket& socket) {
  // A bridge that can never come into being. Where VLANs are known, the VLAN protocol is refused
  // first (EPROTONOSUPPORT); elsewhere that attribute is skipped, and no device is made without
  // transmit queues (EINVAL).
  Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  message.header(ifinfomsg{}).put_string(IFLA_IFNAME, "cni-probe");
  message.put_u32(IFLA_NUM_TX_QUEUES, 0).nest(IFLA_LINKINFO, [](Message& info) {
    info.put_string(IFLA_INFO_KIND, "bridge").nest(IFLA_INFO_DATA, [](Message& data) {
      data.put_u16(IFLA_BR_VLAN_PROTOCOL, 0);
    });
  });
  try {
    socket.request(message, "probe for bridge VLAN filtering");
  } catch (const Error& error) {
    if (error.code != Code::kSystemCall) throw;
    return error.sys_errno == EPROTONOSUPPORT;
  }
  (void)remove_link(socket, "cni-probe");
  return false;
}

Error no_bridge_vlans() {
  return {Code::kMissingKernelFeature,
          "the kernel has no bridge VLAN filtering support (CONFIG_BRIDGE_VLAN_FILTERING)",
          {},
          EOPNOTSUPP};
}

void add_port_vlans(Socket& socket, const Link& port, std::span<const VlanRange> ranges) {
  if (ranges.empty()) return;
  change_vlans(socket, RTM_SETLINK, port, ranges,
               cat("add VLANs ", to_string(ranges), " to bridge port ", port.name));
}

void remove_port_vlans(Socket& socket, const Link& port) {
  // The kernel skips those of the range that the port does not have.
  const VlanRange all{.first = 1, .last = kMaxVlan};
  change_vlans(socket, RTM_DELLINK, port, {&all, 1},
               cat("remove the VLANs of bridge port ", port.name));
}

std::vector<VlanRange> list_port_vlans(Socket& socket, const Link& port) {
  // RTM_GETLINK knows VLANs in dumps of all ports only: for one device the kernel answers without
  // them. RTM_GETVLAN (Linux 5.6) is a dump too, but of one device if the request names it.
  br_vlan_msg header{};
  header.family = AF_BRIDGE;
  header.ifindex = static_cast<std::uint32_t>(port.index);
  Message message(RTM_GETVLAN, 0);
  message.header(header);
  std::vector<VlanRange> ranges;
  try {
    socket.dump(
        message, cat("list the VLANs of bridge port ", port.name),
        [&](const nlmsghdr* reply) { read_vlan_entries(reply, ranges); }, [&] { ranges.clear(); });
  } catch (const Error& error) {
    if (error.sys_errno == EOPNOTSUPP) return find_port_vlans(socket, port);
    // EINVAL: the link is no bridge port.
    if (error.sys_errno != ENODEV && error.sys_errno != EINVAL) throw;
    ranges.clear();
  }
  return merge(std::move(ranges));
}

std::vector<BridgePort> list_bridge_ports(Socket& socket, LinkIndex bridge) {
  std::vector<BridgePort> ports;
  const auto take = [&](const ifinfomsg& header, const Attributes& attributes) {
    const LinkIndex index{header.ifi_index};
    // The bridge itself is listed as its own port.
    const LinkIndex master{static_cast<int>(attributes.u32(IFLA_MASTER))};
    if (master != bridge || index == bridge) return;
    ports.push_back({.index = index,
                     .name = attributes.text(IFLA_IFNAME),
                     .vlans = read_link_vlans(attributes.bytes(IFLA_AF_SPEC))});
  };
  for_each_port(socket, take, [&] { ports.clear(); });
  return ports;
}

}  // namespace cni::netlink
