// DHCPv4 messages (RFC 2131, RFC 2132, RFC 3396 long options). No I/O.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pkg/types/address.hpp"
#include "plugins/ipam/dhcp/lease.hpp"

namespace cni::dhcp::v4 {

// Values of option 53.
enum class MessageType : std::uint8_t {
  kDiscover = 1,
  kOffer = 2,
  kRequest = 3,
  kDecline = 4,
  kAck = 5,
  kNak = 6,
  kRelease = 7,
  kInform = 8,
};

// The codes of options (RFC 2132; 119: RFC 3397; 121: RFC 3442).
namespace option {
inline constexpr std::uint8_t kSubnetMask = 1;
inline constexpr std::uint8_t kRouters = 3;
inline constexpr std::uint8_t kNameservers = 6;
inline constexpr std::uint8_t kHostName = 12;
inline constexpr std::uint8_t kDomainName = 15;
inline constexpr std::uint8_t kInterfaceMtu = 26;
inline constexpr std::uint8_t kStaticRoutes = 33;
inline constexpr std::uint8_t kNtpServers = 42;
inline constexpr std::uint8_t kRequestedAddress = 50;
inline constexpr std::uint8_t kLeaseTime = 51;
inline constexpr std::uint8_t kOverload = 52;
inline constexpr std::uint8_t kMessageType = 53;
inline constexpr std::uint8_t kServerId = 54;
inline constexpr std::uint8_t kParameterRequestList = 55;
inline constexpr std::uint8_t kMessage = 56;
inline constexpr std::uint8_t kMaximumMessageSize = 57;
inline constexpr std::uint8_t kRenewalTime = 58;
inline constexpr std::uint8_t kRebindingTime = 59;
inline constexpr std::uint8_t kVendorClassId = 60;
inline constexpr std::uint8_t kClientId = 61;
inline constexpr std::uint8_t kUserClass = 77;
inline constexpr std::uint8_t kDomainSearch = 119;
inline constexpr std::uint8_t kClasslessRoutes = 121;
}  // namespace option

struct Message {
  bool is_reply = false;  // op: BOOTREQUEST or BOOTREPLY
  std::uint32_t xid = 0;
  std::uint16_t secs = 0;
  bool broadcast = false;  // flag B: the answer is to be broadcast
  Ip ciaddr;
  Ip yiaddr;
  Ip siaddr;
  Ip giaddr;
  Mac chaddr;  // Ethernet
  // Pieces of one option are joined (RFC 3396), options in sname and file (52) are among them.
  std::map<std::uint8_t, Bytes> options;

  // Of option 53; absent without one, or with an unknown value.
  std::optional<MessageType> type() const;

  bool operator==(const Message& other) const = default;
};

// Fixed part, magic cookie, options in the order of their codes, end; padded to 300 octets, the
// least that BOOTP relays take.
Bytes encode(const Message& message);
// Absent for what is no DHCP message: too short, no magic cookie, another hardware type, options
// that end behind the message.
std::optional<Message> decode(std::span<const std::uint8_t> data);

// What an ACK grants. Throws Code::kSystemCall with what is missing or cannot be (`DHCP option
// Subnet Mask not found in DHCPACK`, an impossible address, no server identifier). Other options
// that are malformed count as absent. Without option 51 a lease lasts 60 minutes; T1 and T2 that
// are missing or out of order are 1/2 and 7/8 of it (RFC 2131 4.4.5).
Lease4 read_lease(const Message& ack, Time received);

}  // namespace cni::dhcp::v4
