#include "plugins/ipam/dhcp/daemon/port.hpp"

#include <cerrno>

#include "pkg/netlink/addr.hpp"
#include "pkg/netlink/route.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/error.hpp"

namespace cni::dhcp {
namespace {

using netlink::Socket;

struct Place {
  Socket socket;
  netlink::LinkIndex link;
};

Place place_of(const std::string& netns, const std::string& ifname) {
  Socket socket = Socket::open_in(ns::Netns::open(netns));
  const auto link = netlink::get_link(socket, ifname).index;
  return {std::move(socket), link};
}

// The routes as an address manager's result says them, made as the plugins do that configure the
// interface from it.
void add_routes(Place& place, const Lease4& lease, std::uint32_t priority) {
  for (const Route& route : to_result({.ipv4 = lease, .ipv6 = {}}, priority).routes) {
    const bool is_on_link = !route.gateway || route.gateway->is_unspecified();
    netlink::replace_route(place.socket, {.destination = route.destination,
                                          .gateway = is_on_link ? std::nullopt : route.gateway,
                                          .source = std::nullopt,
                                          .link = place.link,
                                          .scope = route.scope,
                                          .priority = route.priority,
                                          .mtu = route.mtu});
  }
}

// Those that do not go with the address: on-link ones.
void remove_routes(Place& place, const Lease4& lease, std::uint32_t priority) {
  for (const Route& route : to_result({.ipv4 = lease, .ipv6 = {}}, priority).routes) {
    const bool is_on_link = !route.gateway || route.gateway->is_unspecified();
    (void)netlink::remove_route(place.socket, {.destination = route.destination,
                                               .gateway = is_on_link ? std::nullopt : route.gateway,
                                               .source = std::nullopt,
                                               .link = place.link,
                                               .scope = route.scope,
                                               .priority = route.priority});
  }
}

}  // namespace

bool PortIdentity::is_same(const PortIdentity& other) const {
  if (link_index != other.link_index || netns_cookie != other.netns_cookie) return false;
  return netns_cookie != 0 || mac == other.mac;
}

std::optional<Port> Port::find(const std::string& netns, const std::string& ifname) {
  const auto space = ns::Netns::find(netns);
  if (!space) return std::nullopt;
  Socket socket = Socket::open_in(*space);
  const auto link = netlink::find_link(socket, ifname);
  if (!link) return std::nullopt;
  Port port;
  port.netns_ = netns;
  port.ifname_ = ifname;
  port.identity_ = {.netns_cookie = socket.netns_cookie(),
                    .link_index = static_cast<int>(link->index),
                    .mac = link->mac};
  port.shares_mac_ = link->kind == "ipvlan";
  return port;
}

Port Port::open(const std::string& netns, const std::string& ifname) {
  (void)ns::Netns::open(netns);  // says what is wrong with it
  if (auto port = find(netns, ifname)) {
    constexpr std::size_t kEthernetOctets = 6;
    if (port->mac().size() == kEthernetOctets) return std::move(*port);
    throw Error(Code::kInvalidNetworkConfig,
                cat("DHCP needs an interface with an Ethernet address; ", quote(ifname), " in ",
                    netns, " has none"));
  }
  throw Error(Code::kSystemCall, cat("error looking up interface ", quote(ifname), " in ", netns),
              "the interface has to be made before its address is leased", ENODEV);
}

void Port::set_up() const {
  Place place = place_of(netns_, ifname_);
  netlink::set_up(place.socket, place.link);
}

void Port::set_down() const {
  Place place = place_of(netns_, ifname_);
  netlink::set_down(place.socket, place.link);
}

void Port::replace(const Lease4& before, const Lease4& after, std::uint32_t priority) const {
  Place place = place_of(netns_, ifname_);
  // The old one goes first: as the primary address of the subnet it would take the new one along.
  remove_routes(place, before, priority);
  (void)netlink::remove_address(place.socket, place.link, before.address);
  try {
    netlink::add_address(place.socket, place.link, after.address, netlink::Dad::kSkip);
  } catch (const Error& error) {
    if (error.sys_errno != EEXIST) throw;
  }
  add_routes(place, after, priority);
}

void Port::replace(const Lease6& before, const Lease6& after) const {
  Place place = place_of(netns_, ifname_);
  try {
    netlink::add_address(place.socket, place.link, Prefix::host(after.address),
                         netlink::Dad::kKernelDefault);
  } catch (const Error& error) {
    if (error.sys_errno != EEXIST) throw;
  }
  (void)netlink::remove_address(place.socket, place.link, Prefix::host(before.address));
}

void Port::remove_address(const Prefix& address) const {
  Place place = place_of(netns_, ifname_);
  (void)netlink::remove_address(place.socket, place.link, address);
}

}  // namespace cni::dhcp
