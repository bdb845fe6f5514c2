// The messages that a client sends (RFC 2131 4.4, table 5). No I/O.
#pragma once

#include "plugins/ipam/dhcp/v4/machine.hpp"

namespace cni::dhcp::v4 {

// Of all messages of one exchange the transaction, and for how long it has been tried.
struct Stamp {
  std::uint32_t xid = 0;
  std::uint16_t secs = 0;
};

Message discover(const Settings& settings, Stamp stamp);
// REQUEST for what a server has offered.
Message request(const Settings& settings, Stamp stamp, const Ip& address, const Ip& server);
// REQUEST for more time: neither option 50 nor 54, as RFC 2131 4.3.6 wants it.
Message prolong(const Settings& settings, Stamp stamp, const Ip& address);
// The address that a server has granted is used by somebody else.
Message decline(const Settings& settings, std::uint32_t xid, const Ip& address, const Ip& server);
Message give_back(const Settings& settings, std::uint32_t xid, const Ip& address, const Ip& server);

}  // namespace cni::dhcp::v4
