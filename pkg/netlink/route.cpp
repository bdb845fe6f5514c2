#include "pkg/netlink/route.hpp"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "pkg/netlink/message.hpp"
#include "pkg/netlink/route_message.hpp"
#include "pkg/types/error.hpp"

namespace cni::netlink {
namespace {

std::uint8_t family_number(Family family) { return family == Family::kIpv4 ? AF_INET : AF_INET6; }

std::uint8_t default_scope(const Route& route) {
  if (route.scope) return static_cast<std::uint8_t>(*route.scope);
  // IPv6 has no scopes; without a gateway the destination is on the link.
  const bool on_link = !route.gateway && route.destination.address.is_ipv4();
  return on_link ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

Message route_message(int type, int flags, const Route& route) {
  const Prefix destination = route.destination.network();
  const auto table = static_cast<std::uint32_t>(route.table);
  rtmsg header{};
  header.rtm_family = family_number(destination.address.family());
  header.rtm_dst_len = static_cast<std::uint8_t>(destination.length);
  header.rtm_table = table < 256 ? static_cast<std::uint8_t>(table) : std::uint8_t{RT_TABLE_UNSPEC};
  header.rtm_protocol = static_cast<std::uint8_t>(route.protocol);
  header.rtm_scope = default_scope(route);
  header.rtm_type = route.is_local ? RTN_LOCAL : RTN_UNICAST;
  if (route.gateway_on_link) header.rtm_flags |= RTNH_F_ONLINK;
  Message message(type, flags);
  message.header(header);
  if (destination.length != 0) message.put_ip(RTA_DST, destination.address);
  if (table >= 256) message.put_u32(RTA_TABLE, table);
  if (route.gateway) message.put_ip(RTA_GATEWAY, *route.gateway);
  if (route.source) message.put_ip(RTA_PREFSRC, *route.source);
  if (route.link != LinkIndex::kNone) {
    message.put_u32(RTA_OIF, static_cast<std::uint32_t>(route.link));
  }
  if (route.priority != 0) message.put_u32(RTA_PRIORITY, route.priority);
  if (route.mtu != 0 || route.advmss != 0) {
    message.nest(RTA_METRICS, [&](Message& metrics) {
      if (route.mtu != 0) metrics.put_u32(RTAX_MTU, route.mtu);
      if (route.advmss != 0) metrics.put_u32(RTAX_ADVMSS, route.advmss);
    });
  }
  return message;
}

std::optional<Ip> ip_of(const Attributes& attributes, int type) {
  const std::string_view bytes = attributes.bytes(type);
  return Ip::from_bytes(bytes.data(), bytes.size());
}

}  // namespace

Route read_route(const nlmsghdr* message) {
  const auto& header = body_of<rtmsg>(message);
  const Attributes attributes(message, sizeof header, RTA_MAX);
  const bool ipv4 = header.rtm_family == AF_INET;
  const std::uint8_t zero[16] = {};
  Route route;
  route.destination = {ip_of(attributes, RTA_DST).value_or(*Ip::from_bytes(zero, ipv4 ? 4 : 16)),
                       header.rtm_dst_len};
  route.gateway = ip_of(attributes, RTA_GATEWAY);
  route.source = ip_of(attributes, RTA_PREFSRC);
  route.link = LinkIndex{static_cast<int>(attributes.u32(RTA_OIF))};
  route.table = TableId{attributes.u32(RTA_TABLE, header.rtm_table)};
  route.scope = header.rtm_scope;
  route.priority = attributes.u32(RTA_PRIORITY);
  route.protocol = header.rtm_protocol;
  const Attributes metrics = attributes.nested(RTA_METRICS, RTAX_MAX);
  route.mtu = metrics.u32(RTAX_MTU);
  route.advmss = metrics.u32(RTAX_ADVMSS);
  return route;
}

std::string Route::describe() const {
  std::string out = destination.is_default() ? "default" : destination.to_string();
  if (gateway) out += cat(" via ", gateway->to_string());
  if (source) out += cat(" src ", source->to_string());
  if (link != LinkIndex::kNone) out += cat(" link ", static_cast<int>(link));
  if (priority != 0) out += cat(" metric ", priority);
  if (table != TableId::kMain) out += cat(" table ", static_cast<std::uint32_t>(table));
  return out;
}

void add_route(Socket& socket, const Route& route) {
  // Without EXCL another next hop for the same destination is added beside the existing one.
  Message message = route_message(RTM_NEWROUTE, NLM_F_CREATE, route);
  socket.request(message, cat("add route ", route.describe()));
}

void replace_route(Socket& socket, const Route& route) {
  Message message = route_message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route);
  socket.request(message, cat("replace route ", route.describe()));
}

bool remove_route(Socket& socket, const Route& route) {
  Route any_protocol = route;
  any_protocol.protocol = RTPROT_UNSPEC;
  if (!route.scope) any_protocol.scope = RT_SCOPE_NOWHERE;
  Message message = route_message(RTM_DELROUTE, 0, any_protocol);
  return delete_route(socket, message, route);
}

bool delete_route(Socket& socket, Message& message, const Route& route) {
  try {
    socket.request(message, cat("delete route ", route.describe()));
    return true;
  } catch (const Error& error) {
    if (error.sys_errno == ESRCH || error.sys_errno == ENODEV) return false;
    throw;
  }
}

Message route_dump(const RouteFilter& filter) {
  rtmsg header{};
  header.rtm_family = family_number(filter.family);
  Message message(RTM_GETROUTE, 0);
  message.header(header);
  if (filter.table) message.put_u32(RTA_TABLE, static_cast<std::uint32_t>(*filter.table));
  if (filter.link != LinkIndex::kNone) {
    message.put_u32(RTA_OIF, static_cast<std::uint32_t>(filter.link));
  }
  return message;
}

void dump_routes(Socket& socket, Message& message, const Socket::OnMessage& take,
                 const std::function<void()>& restart) {
  try {
    socket.dump(message, "list routes", take, restart);
  } catch (const Error& error) {
    if (error.sys_errno != ENOENT) throw;  // no such table
  }
}

std::vector<Route> list_routes(Socket& socket, const RouteFilter& filter) {
  Message message = route_dump(filter);
  std::vector<Route> out;
  const auto take = [&](const nlmsghdr* reply) {
    const auto& body = body_of<rtmsg>(reply);
    if (body.rtm_type != RTN_UNICAST || (body.rtm_flags & RTM_F_CLONED) != 0) return;
    Route route = read_route(reply);
    if (filter.table && route.table != *filter.table) return;
    if (filter.link != LinkIndex::kNone && route.link != filter.link) return;
    out.push_back(std::move(route));
  };
  dump_routes(socket, message, take, [&] { out.clear(); });
  return out;
}

std::optional<NextHop> find_next_hop(Socket& socket, const Ip& destination, LinkIndex arriving_on) {
  rtmsg header{};
  header.rtm_family = family_number(destination.family());
  header.rtm_dst_len = static_cast<std::uint8_t>(destination.width());
  Message message(RTM_GETROUTE, 0);
  message.header(header).put_ip(RTA_DST, destination);
  if (arriving_on != LinkIndex::kNone) {
    message.put_u32(RTA_IIF, static_cast<std::uint32_t>(arriving_on));
  }
  std::optional<NextHop> out;
  const auto take = [&](const nlmsghdr* reply) {
    const auto& body = body_of<rtmsg>(reply);
    // IPv6 answers with an unreachable route where IPv4 fails.
    if (body.rtm_type != RTN_UNICAST && body.rtm_type != RTN_LOCAL) return;
    out = NextHop{read_route(reply).link, body.rtm_type == RTN_LOCAL};
  };
  try {
    socket.get(message, cat("find the route to ", destination.to_string()), take);
  } catch (const Error& error) {
    // No route, or one of type unreachable, prohibit or blackhole.
    if (error.sys_errno != ENETUNREACH && error.sys_errno != EHOSTUNREACH &&
        error.sys_errno != EACCES && error.sys_errno != EINVAL) {
      throw;
    }
  }
  return out;
}

std::optional<LinkIndex> find_default_route_link(Socket& socket) {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    for (const Route& route : list_routes(socket, {.family = family, .table = TableId::kMain})) {
      if (route.destination.is_default() && route.link != LinkIndex::kNone) return route.link;
    }
  }
  return std::nullopt;
}

}  // namespace cni::netlink
