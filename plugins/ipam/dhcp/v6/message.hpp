// DHCPv6 messages (RFC 8415). No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "plugins/ipam/dhcp/lease.hpp"

namespace cni::dhcp::v6 {

inline constexpr std::uint16_t kClientPort = 546;
inline constexpr std::uint16_t kServerPort = 547;
// All_DHCP_Relay_Agents_and_Servers.
inline constexpr std::string_view kServers = "ff02::1:2";

enum class MessageType : std::uint8_t {
  kSolicit = 1,
  kAdvertise = 2,
  kRequest = 3,
  kConfirm = 4,
  kRenew = 5,
  kRebind = 6,
  kReply = 7,
  kRelease = 8,
  kDecline = 9,
  kReconfigure = 10,
  kInformationRequest = 11,
};

// RFC 8415 21.13.
enum class Status : std::uint16_t {
  kSuccess = 0,
  kUnspecFail = 1,
  kNoAddrsAvail = 2,
  kNoBinding = 3,
  kNotOnLink = 4,
  kUseMulticast = 5,
  kNoPrefixAvail = 6,
};

struct StatusCode {
  Status status = Status::kSuccess;
  std::string text;  // as the server wrote it: not to be shown before it is made printable

  bool operator==(const StatusCode& other) const = default;
};

struct IaAddress {
  Ip address;
  std::uint32_t preferred = 0;  // seconds; 0xffffffff: infinite
  std::uint32_t valid = 0;      // seconds; 0xffffffff: infinite
  std::optional<StatusCode> status;

  bool operator==(const IaAddress& other) const = default;
};

// IA_NA: the identity association for non-temporary addresses.
struct IaNa {
  std::uint32_t iaid = 0;
  std::uint32_t t1 = 0;  // seconds; 0: the client's choice
  std::uint32_t t2 = 0;
  std::vector<IaAddress> addresses;
  std::optional<StatusCode> status;

  bool operator==(const IaNa& other) const = default;
};

// What decode keeps of each at most; more is left out.
inline constexpr std::size_t kMostAssociations = 8;
inline constexpr std::size_t kMostAddresses = 16;  // of one association
inline constexpr std::size_t kMostNameservers = 8;
inline constexpr std::size_t kMostSearchNames = 16;
inline constexpr std::size_t kMostRequestedOptions = 64;

// The options that are asked for by their codes (RFC 3646; 82: RFC 8415 21.24).
namespace option {
inline constexpr std::uint16_t kNameservers = 23;
inline constexpr std::uint16_t kSearch = 24;
inline constexpr std::uint16_t kSolMaxRt = 82;
}  // namespace option

struct Message {
  MessageType type = MessageType::kSolicit;
  std::uint32_t transaction = 0;  // 24 bits
  Bytes client_id;                // DUID; empty: absent
  Bytes server_id;                // DUID; empty: absent
  std::vector<IaNa> ia_na;
  std::vector<std::uint16_t> option_request;
  std::optional<std::uint16_t> elapsed;  // hundredths of a second
  std::optional<std::uint8_t> preference;
  bool rapid_commit = false;
  std::optional<StatusCode> status;
  std::vector<Ip> nameservers;              // option 23
  std::vector<std::string> search;          // option 24
  std::optional<std::uint32_t> sol_max_rt;  // option 82, seconds

  bool operator==(const Message& other) const = default;
};

// What fits into no option (longer than 65535 octets, a search name that is no domain name, an
// address that is not IPv6) is left out.
Bytes encode(const Message& message);
// Absent for what is no client or server message, or malformed anywhere: an option that ends behind
// what holds it, a length that its kind cannot have, a DUID of less than 3 or more than 130 octets,
// a compressed or unfinished domain name. Options that are not in Message are left out, and so are
// search names of anything but letters, digits, '-', '_' and '.'. Of an option that may stand once
// (RFC 8415 21) the first counts.
std::optional<Message> decode(std::span<const std::uint8_t> data);

// DUID-LL (RFC 8415 11.4) of an Ethernet address.
Bytes duid_of(const Mac& mac);

}  // namespace cni::dhcp::v6
