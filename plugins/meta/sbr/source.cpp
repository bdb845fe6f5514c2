#include "plugins/meta/sbr/source.hpp"

#include <algorithm>

namespace cni::sbr {
namespace {

bool is_of_interface(const IpConfig& ip, const Result& result, std::string_view ifname) {
  if (!ip.interface) return true;
  const auto index = static_cast<std::size_t>(*ip.interface);
  return index < result.interfaces.size() && result.interfaces[index].name == ifname;
}

// The gateway of the result's default routes, if they have one.
std::optional<Ip> routed_gateway(const Prefix& address, const Result& result) {
  std::optional<Ip> first;
  for (const Route& route : result.routes) {
    const bool is_default = route.destination.is_default() && !route.table &&
                            route.destination.address.family() == address.address.family();
    if (!is_default || !route.gateway) continue;
    if (address.contains(*route.gateway)) return route.gateway;
    if (!first) first = route.gateway;
  }
  return first;
}

bool concerns(const Prefix& subnet, const netlink::Route& route) {
  return (route.gateway && subnet.contains(*route.gateway)) ||
         (route.source && subnet.contains(*route.source));
}

}  // namespace

std::vector<Source> sources_of(const Result& result, std::string_view ifname,
                               const Config& config) {
  std::vector<Source> out;
  for (const IpConfig& ip : result.ips) {
    if (!is_of_interface(ip, result, ifname)) continue;
    const Ip& address = ip.address.address;
    const bool is_known = std::any_of(out.begin(), out.end(), [&](const Source& other) {
      return other.address.address == address;
    });
    if (is_known) continue;
    Source source{.address = ip.address, .gateway = config.gateway(address.family())};
    source.has_configured_gateway = source.gateway.has_value();
    if (!source.gateway) source.gateway = ip.gateway;
    if (!source.gateway) source.gateway = routed_gateway(ip.address, result);
    out.push_back(source);
  }
  return out;
}

bool needs_route(const Source& source, const std::vector<Source>& all,
                 const netlink::Route& route) {
  const bool is_other_default =
      source.gateway && route.destination.is_default() && route.gateway != source.gateway;
  if (is_other_default && source.has_configured_gateway) return false;
  if (concerns(source.address, route)) return true;
  if (is_other_default && route.gateway) return false;
  return std::none_of(all.begin(), all.end(),
                      [&](const Source& other) { return concerns(other.address, route); });
}

}  // namespace cni::sbr
