#include <algorithm>
#include <iterator>

#include "pkg/netfilter/port_map.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {

std::string_view to_string(Transport transport) {
  switch (transport) {
    case Transport::kTcp:
      return "tcp";
    case Transport::kUdp:
      return "udp";
    case Transport::kSctp:
      return "sctp";
  }
  return "unknown";
}

std::string PortMapping::to_string() const {
  const std::string_view name = netfilter::to_string(transport);
  if (!host_ip) return cat(name, ' ', host_port);
  const std::string address = host_ip->to_string();
  if (host_ip->is_ipv4()) return cat(name, ' ', address, ':', host_port);
  return cat(name, " [", address, "]:", host_port);
}

std::vector<PortMapping> mappings_of(const PortMapSpec& spec, Family family) {
  std::vector<PortMapping> out;
  std::copy_if(spec.mappings.begin(), spec.mappings.end(), std::back_inserter(out),
               [&](const PortMapping& mapping) {
                 return !mapping.host_ip || mapping.host_ip->family() == family;
               });
  return out;
}

std::optional<Prefix> target_of(const PortMapSpec& spec, Family family) {
  const auto found =
      std::find_if(spec.targets.begin(), spec.targets.end(),
                   [&](const Prefix& target) { return target.address.family() == family; });
  return found == spec.targets.end() ? std::nullopt : std::optional(*found);
}

}  // namespace cni::netfilter
