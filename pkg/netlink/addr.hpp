// Addresses of interfaces.
#pragma once

#include <chrono>
#include <vector>

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/address.hpp"

namespace cni::netlink {

struct Address {
  Prefix prefix;
  std::uint32_t flags = 0;  // IFA_F_...
  std::uint8_t scope = 0;
  LinkIndex link = LinkIndex::kNone;

  bool is_tentative() const;
  bool dad_failed() const;
};

// Duplicate address detection of an IPv6 address. kSkip is for addresses that nobody else can have.
enum class Dad { kSkip, kKernelDefault };

// Adds an address. IPv4 gets the subnet's last address as broadcast address if the prefix is /30 or
// shorter. Throws with EEXIST if the link has it already, and Code::kConflict if it is an ipvlan
// and another one on its parent has it.
void add_address(Socket& socket, LinkIndex index, const Prefix& prefix, Dad dad);
// False if the link does not have it.
bool remove_address(Socket& socket, LinkIndex index, const Prefix& prefix);

// The addresses of one link, both families; the kernel filters where it can (Linux 5.0). kNone: of
// all links.
std::vector<Address> list_addresses(Socket& socket, LinkIndex index);

// Waits until none of the link's IPv6 addresses is tentative. Throws Code::kConflict naming an
// address whose detection failed. Returns false if the time is over.
bool wait_for_dad(Socket& socket, const ns::Netns& netns, LinkIndex index,
                  std::chrono::milliseconds deadline);

}  // namespace cni::netlink
