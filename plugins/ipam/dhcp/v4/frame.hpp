// Ethernet frames with DHCPv4 messages and with ARP probes. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "pkg/types/address.hpp"
#include "plugins/ipam/dhcp/lease_request.hpp"

namespace cni::dhcp::v4 {

inline constexpr std::uint16_t kServerPort = 67;
inline constexpr std::uint16_t kClientPort = 68;

// A DHCP message from `source` (0.0.0.0 before there is an address), port 68, to `destination`,
// port 67, as an Ethernet frame to everybody: IP with TTL 64, both checksums.
Bytes encode_frame(const Mac& from, const Ip& source, const Ip& destination,
                   std::span<const std::uint8_t> message);

// The UDP payload of a frame for port 68. Absent for anything else: another protocol, a fragment, a
// wrong IP checksum, a wrong UDP checksum (0 is none; `checksum_is_known` false: the kernel said
// that it is not filled in, PACKET_AUXDATA's TP_STATUS_CSUMNOTREADY), lengths that do not fit.
// Octets behind the packet (padding) are not part of it.
std::optional<std::span<const std::uint8_t>> find_payload(std::span<const std::uint8_t> frame,
                                                          bool checksum_is_known);

// An ARP probe (RFC 5227 2.1.1): who has `address`, from 0.0.0.0.
Bytes encode_arp_probe(const Mac& from, const Ip& address);
// Whether an ARP frame shows that somebody but `own` uses the address, or probes it at the same
// time (RFC 5227 2.1.1).
bool is_conflict(std::span<const std::uint8_t> frame, const Mac& own, const Ip& address);

}  // namespace cni::dhcp::v4
