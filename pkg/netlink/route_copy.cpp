#include "pkg/netlink/route_copy.hpp"

#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "pkg/netlink/message.hpp"
#include "pkg/netlink/route_message.hpp"
#include "pkg/types/error.hpp"

namespace cni::netlink {
namespace {

// Of a next hop's flags these are wishes; the others say how it is at the moment.
constexpr unsigned kWishes = RTNH_F_ONLINK | RTNH_F_PERVASIVE;

// Calls fn(rtnexthop*) for each whole next hop of RTA_MULTIPATH.
template <class Fn>
void for_each_next_hop(std::string& multipath, Fn&& fn) {
  std::size_t at = 0;
  while (at + sizeof(rtnexthop) <= multipath.size()) {
    auto* hop = reinterpret_cast<rtnexthop*>(multipath.data() + at);
    if (hop->rtnh_len < sizeof(rtnexthop)) return;
    fn(*hop);
    at += RTNH_ALIGN(hop->rtnh_len);
  }
}

std::vector<LinkIndex> links_of(const Attributes& attributes) {
  std::vector<LinkIndex> out;
  if (attributes.has(RTA_OIF)) {
    out.push_back(LinkIndex{static_cast<int>(attributes.u32(RTA_OIF))});
  }
  std::string multipath(attributes.bytes(RTA_MULTIPATH));
  for_each_next_hop(multipath,
                    [&](const rtnexthop& hop) { out.push_back(LinkIndex{hop.rtnh_ifindex}); });
  return out;
}

KernelRoute read_kernel_route(const nlmsghdr* message) {
  const Attributes attributes(message, sizeof(rtmsg), RTA_MAX);
  return {read_route(message),
          body_of<rtmsg>(message).rtm_type,
          links_of(attributes),
          {reinterpret_cast<const char*>(message) + NLMSG_HDRLEN,
           message->nlmsg_len - std::size_t{NLMSG_HDRLEN}}};
}

// How long the route still lives, in seconds; 0: for ever. The kernel says it in clock ticks as
// users see them, and wants to be told in seconds.
std::uint32_t lifetime_of(std::string_view cache_info) {
  rta_cacheinfo info{};
  std::memcpy(&info, cache_info.data(), std::min(sizeof info, cache_info.size()));
  if (info.rta_expires <= 0) return 0;
  const long ticks = ::sysconf(_SC_CLK_TCK);
  return std::max<std::uint32_t>(1, static_cast<std::uint32_t>(info.rta_expires / ticks));
}

// The next hops that lead over one link.
std::string hops_over(std::string multipath, LinkIndex link) {
  std::string out;
  for_each_next_hop(multipath, [&](const rtnexthop& hop) {
    if (LinkIndex{hop.rtnh_ifindex} != link) return;
    out.append(reinterpret_cast<const char*>(&hop), hop.rtnh_len);
    out.resize(RTNH_ALIGN(out.size()));
  });
  return out;
}

// Of the only next hop.
std::optional<Ip> gateway_of(std::string_view multipath) {
  rtnexthop hop{};
  if (multipath.size() < sizeof hop) return std::nullopt;
  std::memcpy(&hop, multipath.data(), sizeof hop);
  const std::size_t whole = RTNH_ALIGN(hop.rtnh_len);
  if (whole != multipath.size()) return std::nullopt;
  std::optional<Ip> out;
  for_each_attribute(multipath.substr(sizeof hop), [&](const nlattr* attribute) {
    const std::string_view bytes = payload_of(attribute);
    if (attribute->nla_type == RTA_GATEWAY) out = Ip::from_bytes(bytes.data(), bytes.size());
  });
  return out;
}

void append_attribute(std::string& out, int type, std::string_view content) {
  const nlattr header{static_cast<std::uint16_t>(NLA_HDRLEN + content.size()),
                      static_cast<std::uint16_t>(type)};
  out.append(reinterpret_cast<const char*>(&header), sizeof header);
  out.append(content);
  out.resize(sizeof(rtmsg) + NLA_ALIGN(out.size() - sizeof(rtmsg)));
}

// What the kernel tells of a route and does not take when one is made.
bool is_only_told(int type, bool has_next_hop_object) {
  switch (type) {
    case RTA_TABLE:      // comes anew
    case RTA_CACHEINFO:  // see lifetime_of
      return true;
    case RTA_OIF:
    case RTA_GATEWAY:
    case RTA_VIA:
    case RTA_MULTIPATH:
    case RTA_ENCAP:
    case RTA_ENCAP_TYPE:
      return has_next_hop_object;  // what the object named by RTA_NH_ID consists of
    default:
      return false;
  }
}

void put_attributes(Message& message, std::string_view sequence) {
  bool has_next_hop_object = false;
  for_each_attribute(sequence, [&](const nlattr* attribute) {
    has_next_hop_object |= (attribute->nla_type & NLA_TYPE_MASK) == RTA_NH_ID;
  });
  for_each_attribute(sequence, [&](const nlattr* attribute) {
    const int type = attribute->nla_type & NLA_TYPE_MASK;
    std::string content(payload_of(attribute));
    if (type == RTA_CACHEINFO) {
      const std::uint32_t lifetime = lifetime_of(content);
      if (lifetime != 0) message.put_u32(RTA_EXPIRES, lifetime);
    }
    if (is_only_told(type, has_next_hop_object)) return;
    if (type == RTA_MULTIPATH) {
      for_each_next_hop(content, [](rtnexthop& hop) {
        hop.rtnh_flags = static_cast<std::uint8_t>(hop.rtnh_flags & kWishes);
      });
    }
    message.put(attribute->nla_type, content.data(), content.size());
  });
}

Message message_of(int type, int flags, const KernelRoute& route, TableId table) {
  rtmsg header{};
  std::memcpy(&header, route.content.data(), std::min(sizeof header, route.content.size()));
  header.rtm_flags &= kWishes;
  header.rtm_table = RT_TABLE_UNSPEC;  // RTA_TABLE says it
  Message message(type, flags);
  message.header(header);
  message.put_u32(RTA_TABLE, static_cast<std::uint32_t>(table));
  put_attributes(message, std::string_view(route.content).substr(sizeof header));
  return message;
}

}  // namespace

bool KernelRoute::leads_over(LinkIndex link) const {
  return std::find(links.begin(), links.end(), link) != links.end();
}

bool KernelRoute::is_made_by_kernel() const { return route.protocol == RTPROT_KERNEL; }

bool KernelRoute::is_unicast() const { return type == RTN_UNICAST; }

bool KernelRoute::is_local() const { return type == RTN_LOCAL; }

std::vector<KernelRoute> list_kernel_routes(Socket& socket, const RouteFilter& filter) {
  // The kernel would filter by link too, but leaves out routes with several next hops then.
  Message message = route_dump({.family = filter.family, .table = filter.table});
  std::vector<KernelRoute> out;
  const auto take = [&](const nlmsghdr* reply) {
    if ((body_of<rtmsg>(reply).rtm_flags & RTM_F_CLONED) != 0) return;
    KernelRoute route = read_kernel_route(reply);
    if (filter.table && route.route.table != *filter.table) return;
    if (filter.link != LinkIndex::kNone && !route.leads_over(filter.link)) return;
    out.push_back(std::move(route));
  };
  dump_routes(socket, message, take, [&] { out.clear(); });
  std::stable_sort(out.begin(), out.end(), [](const KernelRoute& a, const KernelRoute& b) {
    const auto needs_others = [](const KernelRoute& it) {
      return it.route.gateway.has_value() || it.links.size() > 1;
    };
    return needs_others(a) < needs_others(b);
  });
  return out;
}

void put_kernel_route(Socket& socket, const KernelRoute& route, TableId table) {
  Message message = message_of(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route, table);
  socket.request(message, cat("put route ", route.route.describe(), " into table ",
                              static_cast<std::uint32_t>(table)));
}

bool add_kernel_route(Socket& socket, const KernelRoute& route, TableId table, Among others) {
  const int place = others == Among::kLast ? NLM_F_APPEND : 0;
  Message message = message_of(RTM_NEWROUTE, NLM_F_CREATE | place, route, table);
  try {
    socket.request(message, cat("add route ", route.route.describe(), " to table ",
                                static_cast<std::uint32_t>(table)));
    return true;
  } catch (const Error& error) {
    if (error.sys_errno == EEXIST) return false;
    throw;
  }
}

bool remove_kernel_route(Socket& socket, const KernelRoute& route) {
  Message message = message_of(RTM_DELROUTE, 0, route, route.route.table);
  return delete_route(socket, message, route.route);
}

std::optional<KernelRoute> part_over(const KernelRoute& route, LinkIndex link) {
  if (!route.leads_over(link)) return std::nullopt;
  const bool is_whole = std::all_of(route.links.begin(), route.links.end(),
                                    [link](LinkIndex other) { return other == link; });
  if (is_whole) return route;
  KernelRoute out = route;
  out.content.resize(sizeof(rtmsg));
  bool has_object = false;
  for_each_attribute(std::string_view(route.content).substr(sizeof(rtmsg)),
                     [&](const nlattr* attribute) {
                       const int type = attribute->nla_type & NLA_TYPE_MASK;
                       has_object |= type == RTA_NH_ID;
                       std::string content(payload_of(attribute));
                       if (type == RTA_MULTIPATH) {
                         content = hops_over(std::move(content), link);
                         out.route.gateway = gateway_of(content);
                       }
                       append_attribute(out.content, attribute->nla_type, content);
                     });
  if (has_object || route.route.destination.address.is_ipv4()) return std::nullopt;
  out.links.assign(
      static_cast<std::size_t>(std::count(route.links.begin(), route.links.end(), link)), link);
  out.route.link = link;
  return out;
}

}  // namespace cni::netlink
