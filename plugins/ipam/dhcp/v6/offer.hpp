// What a server's message offers to an identity association. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "plugins/ipam/dhcp/v6/message.hpp"

namespace cni::dhcp::v6 {

// Whether a host can have the address, or send to it from any network: unicast of global or unique
// local scope, and nothing of ::/8, where the unspecified, the loopback and the IPv4-mapped
// addresses are.
bool is_usable(const Ip& address);

// A view of a message, which has to outlive it.
struct Offer {
  // Null if none has our identifier, or if its T1 is after its T2 (RFC 8415 21.4).
  const IaNa* ia = nullptr;
  // Null without one that can be leased: see is_usable; lifetimes that are not 0 and in order (RFC
  // 8415 21.6); no status but Success, here, in the association and in the message.
  const IaAddress* address = nullptr;
  // The failure of the message, or else that of the association (RFC 8415 21.13), or Success.
  StatusCode status;
};

// The address is `wanted` if that is among those that can be leased, or else the first of them.
Offer read_offer(const Message& answer, std::uint32_t iaid, const std::optional<Ip>& wanted);

// `NoAddrsAvail "no free address"`, or `status 9`: printable whatever the server wrote, and short.
std::string describe(const StatusCode& status);

// The lease that a Reply grants, whose offer has an address. T1 and T2 that are 0, or not before
// the end, are 0.5 and 0.8 of the preferred lifetime (RFC 8415 21.4), or of the valid one if
// nothing is preferred any more.
Lease6 lease_of(const Message& reply, const Offer& offer, Time received);

}  // namespace cni::dhcp::v6
