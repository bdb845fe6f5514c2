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
  std::string text;
};

struct IaAddress {
  Ip address;
  std::uint32_t preferred = 0;  // seconds; 0xffffffff: infinite
  std::uint32_t valid = 0;      // seconds; 0xffffffff: infinite
  std::optional<StatusCode> status;
};

// IA_NA: the identity association for non-temporary addresses.
struct IaNa {
  std::uint32_t iaid = 0;
  std::uint32_t t1 = 0;  // seconds; 0: the client's choice
  std::uint32_t t2 = 0;
  std::vector<IaAddress> addresses;
  std::optional<StatusCode> status;
};

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
};

Bytes encode(const Message& message);
// Absent for what is no client or server message, or malformed anywhere.
std::optional<Message> decode(std::span<const std::uint8_t> data);

// DUID-LL (RFC 8415 11.4) of an Ethernet address.
Bytes duid_of(const Mac& mac);

}  // namespace cni::dhcp::v6
