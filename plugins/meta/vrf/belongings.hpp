// What an interface has of addresses and routes. Entering and leaving a VRF takes the interface
// down and up again, with which the kernel drops its routes, in whatever table, and most IPv6
// addresses.
#pragma once

#include <chrono>
#include <vector>

#include "pkg/netlink/address_copy.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/route_copy.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/ns/netns.hpp"

namespace cni::vrf {

struct Belongings {
  std::vector<netlink::KernelAddress> addresses;  // of IPv6: those of IPv4 stay
  std::vector<netlink::KernelRoute> routes;       // of both families, in every table
};

// Where routes are to be: those of the main and the local table go to `main` and `local`, which are
// one and the same in a VRF; others stay in their tables.
struct Tables {
  netlink::TableId main = netlink::TableId::kMain;
  netlink::TableId local = netlink::TableId::kLocal;

  netlink::TableId operator()(netlink::TableId table) const;
};

// What the link has now, without what the kernel makes by itself whenever the link goes up.
Belongings belongings_of(netlink::Socket& container, netlink::LinkIndex link);

// The routes among `present`, the link's in the main table or that of its VRF, that `before` has
// not: the kernel makes one for each address, also where somebody has removed it.
std::vector<netlink::KernelRoute> surplus_of(const std::vector<netlink::KernelRoute>& present,
                                             const Belongings& before);

// To be called before the link enters or leaves a VRF: addresses that are known to be nobody else's
// are not tried anew when it goes up, which would take seconds.
void keep_settled(netlink::Socket& container, const Belongings& before);

// To be called afterwards: gives the link what it had, and waits until the kernel delivers to its
// addresses. Throws Code::kTryAgainLater if that takes longer than `kDeadline`.
inline constexpr std::chrono::seconds kDeadline{10};
void give_back(netlink::Socket& container, const ns::Netns& netns, netlink::LinkIndex link,
               const Belongings& before, const Tables& tables);

}  // namespace cni::vrf
