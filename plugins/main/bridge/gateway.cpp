#include "plugins/main/bridge/gateway.hpp"

#include <algorithm>
#include <cerrno>
#include <vector>

#include "pkg/attachment/interface.hpp"
#include "pkg/netlink/addr.hpp"
#include "pkg/types/error.hpp"

namespace cni::bridge {
namespace {

Prefix default_destination(const Ip& ip) {
  const std::uint8_t zero[16] = {};
  return {*Ip::from_bytes(zero, ip.size()), 0};
}

void add_default_route(const Ip& gateway, Result& result) {
  const Prefix destination = default_destination(gateway);
  const bool present = std::any_of(
      result.routes.begin(), result.routes.end(),
      [&](const Route& route) { return route.gateway && route.destination == destination; });
  if (!present) result.routes.push_back({.destination = destination, .gateway = gateway});
}

std::vector<Prefix> gateway_prefixes(const Result& result) {
  std::vector<Prefix> out;
  for (const IpConfig& ip : result.ips) {
    if (ip.gateway) out.push_back({*ip.gateway, ip.address.length});
  }
  return out;
}

// IPv4: one subnet on the bridge. IPv6: several, if they do not overlap.
bool conflicts(const Prefix& present, const Prefix& wanted) {
  if (present.address.family() != wanted.address.family()) return false;
  return wanted.address.is_ipv4() || present.overlaps(wanted);
}

void make_room(netlink::Socket& host, const netlink::Link& holder, const Config& config,
               const std::vector<netlink::Address>& present, const std::vector<Prefix>& gateways,
               const Prefix& wanted) {
  for (const netlink::Address& address : present) {
    const bool ours = std::find(gateways.begin(), gateways.end(), address.prefix) != gateways.end();
    if (ours || !conflicts(address.prefix, wanted)) continue;
    if (!config.force_address) {
      throw Error(Code::kConflict,
                  cat("failed to set bridge addr: ", quote(holder.name),
                      " already has an IP address different from ", wanted.to_string()),
                  cat("it has ", address.prefix.to_string(),
                      "; set forceAddress to replace it, or use another bridge"));
    }
    (void)netlink::remove_address(host, holder.index, address.prefix);
  }
}

void ensure_address(netlink::Socket& host, const netlink::Link& holder, const Prefix& wanted) {
  try {
    // Nobody else answers for the gateway's address on a link of our own.
    netlink::add_address(host, holder.index, wanted, netlink::Dad::kSkip);
  } catch (Error& error) {
    if (error.sys_errno == EEXIST) return;  // another ADD was faster
    error.prepend("failed to set bridge addr");
    throw;
  }
  // A bridge that somebody else made takes the lowest address of its ports unless it is set.
  netlink::LinkChange pin;
  pin.mac = holder.mac;
  netlink::change_link(host, holder.index, pin, cat("pin the MAC address of ", holder.name));
}

}  // namespace

void complete_gateways(const Config& config, Result& result) {
  for (IpConfig& ip : result.ips) {
    if (!ip.gateway && config.is_gateway) ip.gateway = ip.address.network().address.next();
    if (config.is_default_gateway && ip.gateway) add_default_route(*ip.gateway, result);
  }
}

void ensure_gateways(netlink::Socket& host, const netlink::Link& holder, const Config& config,
                     const Result& result) {
  const std::vector<Prefix> gateways = gateway_prefixes(result);
  if (gateways.empty()) return;
  const std::vector<netlink::Address> present = netlink::list_addresses(host, holder.index);
  for (const Prefix& wanted : gateways) {
    const bool there =
        std::any_of(present.begin(), present.end(),
                    [&](const netlink::Address& address) { return address.prefix == wanted; });
    if (there) continue;
    make_room(host, holder, config, present, gateways, wanted);
    ensure_address(host, holder, wanted);
  }
  std::vector<Ip> addresses;
  for (const Prefix& gateway : gateways) addresses.push_back(gateway.address);
  attachment::enable_forwarding(addresses);
}

void check_gateways(netlink::Socket& host, const netlink::Link& holder, const Result& expected) {
  const std::vector<netlink::Address> present = netlink::list_addresses(host, holder.index);
  for (const Prefix& wanted : gateway_prefixes(expected)) {
    const bool there =
        std::any_of(present.begin(), present.end(),
                    [&](const netlink::Address& address) { return address.prefix == wanted; });
    if (there) continue;
    throw Error(Code::kCheckFailed, cat("gateway address ", wanted.to_string(), " is not on ",
                                        holder.kind == "bridge" ? "bridge " : "", holder.name));
  }
}

}  // namespace cni::bridge
