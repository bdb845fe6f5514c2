// Addresses as the kernel holds them, with all that Address does not say (peers, labels, metrics,
// lifetimes), to be put back as they are.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "pkg/netlink/addr.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/route.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/types/address.hpp"

namespace cni::netlink {

struct KernelAddress {
  // What Address says.
  Address address;
  // ifaddrmsg and the attributes behind it.
  std::string content;

  // Whether the kernel gives and takes it by itself: link-local and temporary ones.
  bool is_automatic() const;
  // Whether duplicate address detection has ended well or was not asked for.
  bool is_settled() const;
  // Whether it is never to be tried for duplicates: IFA_F_NODAD.
  bool is_untried() const;
};

// The addresses of one family that a link has; none if there is no such link.
std::vector<KernelAddress> list_kernel_addresses(Socket& socket, LinkIndex index, Family family);

// Gives the link the address, or makes that one which it has as it is here. With Dad::kSkip
// duplicate address detection, which is IPv6's, is not begun, whatever the address says.
void put_kernel_address(Socket& socket, const KernelAddress& address, Dad dad);

// Waits until the kernel has made its routes to these IPv6 addresses of the link, which it does in
// the background. False if the time is over.
bool wait_for_local_routes(Socket& socket, const ns::Netns& netns, LinkIndex index, TableId table,
                           const std::vector<Ip>& addresses, std::chrono::milliseconds deadline);

}  // namespace cni::netlink
