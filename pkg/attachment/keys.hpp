// Rows that the tables of several plugins have (pkg/types/schema.hpp).
#pragma once

#include <string_view>

#include "pkg/netfilter/backend.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/schema.hpp"

namespace cni::attachment {

template <auto kMember>
consteval auto mtu_key(std::string_view about) {
  return schema::key<kMember>("mtu", about,
                              {.fallback = "0",
                               .minimum = netlink::kMinMtu,
                               .maximum = netlink::kMaxMtu,
                               .zero_is_default = true});
}

template <auto kMember>
consteval auto link_in_container_key() {
  return schema::key<kMember>("linkInContainer", "The master is in the container's namespace.");
}

template <auto kMember>
consteval auto mac_key() {
  return schema::key<kMember>("mac", "MAC address of the interface; by default the kernel's.");
}

// In runtimeConfig.
template <auto kMember>
consteval auto runtime_mac_key() {
  return schema::key<kMember>("mac",
                              "MAC address of the interface, before the key mac and CNI_ARGS.");
}

// The one that counts, lowest precedence first: the key mac, MAC in CNI_ARGS, runtimeConfig.mac.
// Empty: none is wanted. Throws as skel::mac_argument does.
Mac chosen_mac(const skel::Request& request, const Mac& configured, const Mac& runtime);

template <auto kMember>
consteval auto ip_masq_key() {
  return schema::key<kMember>("ipMasq", "Masquerade traffic that leaves the container's subnet.");
}

template <auto kMember>
consteval auto ip_masq_backend_key() {
  return schema::key<kMember>(
      "ipMasqBackend",
      "What masquerades; by default iptables, unless only nftables can be used on the host.",
      {.choices = netfilter::kBackends});
}

}  // namespace cni::attachment
