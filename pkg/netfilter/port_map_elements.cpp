#include "pkg/netfilter/port_map_elements.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "pkg/netfilter/port_map_guard.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter::published {
namespace {

// In the data of kOwners, beside the number of ports.
constexpr std::uint32_t kHasGuards = 1U << 31;
// Protocol and port, each in four octets.
constexpr std::size_t kPortKeyLength = 8;

std::string within_key(const Prefix& target) {
  NftKey key;
  if (is_lone(target)) key.ip(target.address);
  return key.ip(target.address).take();
}

std::uint16_t port_in(std::string_view key) {
  return static_cast<std::uint16_t>(static_cast<std::uint8_t>(key[4]) << 8 |
                                    static_cast<std::uint8_t>(key[5]));
}

std::string holding_of(const PortMapSpec& spec, Family family, std::size_t elements) {
  const auto count = static_cast<std::uint32_t>(elements);
  return nft_number(count | (count_guards(spec, family) > 0 ? kHasGuards : 0)) +
         nft_number(static_cast<std::uint32_t>(spec.host_link));
}

// One of the numbers that nft_number has written.
std::uint32_t number_in(std::string_view octets, std::size_t position) {
  std::uint32_t out = 0;
  if (octets.size() < (position + 1) * sizeof out) return 0;
  std::memcpy(&out, octets.data() + position * sizeof out, sizeof out);
  return out;
}

// 127.0.0.1 reaches what is published on all addresses, or on a loopback one.
bool is_for_localhost(const PortMapping& mapping) {
  const auto address = destination_of(mapping);
  return !address || address->is_loopback();
}

}  // namespace

NftTable table(Family family) {
  return {family == Family::kIpv4 ? NftFamily::kIpv4 : NftFamily::kIpv6, "cni_hostport"};
}

bool is_lone(const Prefix& target) { return target.length == target.address.width(); }

std::string within_name(const Prefix& target) {
  if (is_lone(target)) return cat(kWithinPrefix, "hosts");
  std::string name = cat(kWithinPrefix, target.network().to_string());
  std::replace(name.begin(), name.end(), ':', '-');
  return name;
}

std::string_view map_of(const PortMapping& mapping) {
  return destination_of(mapping) ? kAddressPorts : kPorts;
}

std::string_view guarded_map_of(const PortMapping& mapping) {
  return destination_of(mapping) ? kGuardedAddressPorts : kGuardedPorts;
}

std::string key_of(const PortMapping& mapping) {
  NftKey key;
  if (const auto address = destination_of(mapping)) key.ip(*address);
  return key.protocol(static_cast<std::uint8_t>(mapping.transport)).port(mapping.host_port).take();
}

bool leads_to(const NftElement& element, const Ip& target) {
  return element.data.size() >= target.size() &&
         std::memcmp(element.data.data(), target.data(), target.size()) == 0;
}

Holding holding_in(const NftElement& owner) {
  const std::uint32_t value = number_in(owner.data, 0);
  return {value & ~kHasGuards, (value & kHasGuards) != 0,
          netlink::LinkIndex{static_cast<int>(number_in(owner.data, 1))}};
}

std::vector<Placed> masquerade_elements_of(const PortMapSpec& spec, const Prefix& target) {
  const std::string address = NftKey().ip(target.address).take();
  const std::string comment = owner_comment(spec.owner);
  const std::vector<PortMapping> mappings = mappings_of(spec, target.address.family());
  std::vector<Placed> out;
  if (spec.masquerade_all) out.push_back({std::string(kFromAnywhere), {address, {}, {}, comment}});
  if (!spec.snat || spec.masquerade_all) return out;
  out.push_back({within_name(target), {within_key(target), {}, {}, comment}});
  if (std::any_of(mappings.begin(), mappings.end(), is_for_localhost)) {
    out.push_back({std::string(kFromLocalhost), {address, {}, {}, comment}});
  }
  return out;
}

std::vector<Placed> masquerade_places(const Prefix& target) {
  const std::string address = NftKey().ip(target.address).take();
  return {{std::string(kFromAnywhere), {address, {}, {}, {}}},
          {std::string(kFromLocalhost), {address, {}, {}, {}}},
          {within_name(target), {within_key(target), {}, {}, {}}}};
}

std::vector<Placed> places_of(const PortMapSpec& spec, const Prefix& target) {
  std::vector<Placed> out = elements_of(spec, target);
  std::erase_if(out,
                [](const Placed& one) { return one.set != kOwners && one.element.data.empty(); });
  for (Placed& one : masquerade_places(target)) out.push_back(std::move(one));
  return out;
}

std::string describe(const Placed& place, Family family) {
  if (place.set == kOwners) return "the attachment";
  const std::size_t length = family == Family::kIpv4 ? 4 : 16;
  std::string_view key = place.element.key;
  std::string address;
  if (place.set != kPorts && place.set != kGuardedPorts) {
    const auto ip = Ip::from_bytes(key.data(), std::min(length, key.size()));
    if (ip) address = ip->to_string();
    key.remove_prefix(std::min(length, key.size()));
  }
  if (key.size() != kPortKeyLength) return address;
  const auto transport = static_cast<Transport>(key[0]);
  return cat(to_string(transport), ' ', address, address.empty() ? "" : " port ", port_in(key));
}

std::optional<UdpDestination> udp_destination(const Placed& place, Family family) {
  const bool has_address = place.set == kAddressPorts;
  if (!has_address && place.set != kPorts) return std::nullopt;
  const std::size_t length = !has_address ? 0 : family == Family::kIpv4 ? 4 : 16;
  std::string_view key = place.element.key;
  if (key.size() != length + kPortKeyLength) return std::nullopt;
  UdpDestination out{family, port_in(key.substr(length)), std::nullopt};
  if (static_cast<Transport>(key[length]) != Transport::kUdp) return std::nullopt;
  if (has_address) out.address = Ip::from_bytes(key.data(), length);
  return out;
}

std::vector<Placed> elements_of(const PortMapSpec& spec, const Prefix& target) {
  const Family family = target.address.family();
  const std::string comment = owner_comment(spec.owner);
  const std::vector<PortMapping> mappings = mappings_of(spec, family);
  if (mappings.empty()) return {};

  std::vector<Placed> out;
  for (const std::string_view map : {kPorts, kAddressPorts}) {
    for (const PortMapping& mapping : mappings) {
      if (map_of(mapping) != map) continue;
      std::string where = NftKey().ip(target.address).port(mapping.container_port).take();
      out.push_back({std::string(map), {key_of(mapping), std::move(where), {}, comment}});
    }
  }
  for (Placed& one : masquerade_elements_of(spec, target)) out.push_back(std::move(one));
  std::string holding = holding_of(spec, family, out.size() + count_guards(spec, family));
  out.push_back(
      {std::string(kOwners), {owner_key(owner_id(spec.owner)), std::move(holding), {}, comment}});
  return out;
}

}  // namespace cni::netfilter::published
