// What the values of DHCPv4 options mean. Each of these is absent where the option is absent, and
// where its value is malformed. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "plugins/ipam/dhcp/v4/message.hpp"

namespace cni::dhcp::v4 {

// More search domains than these are not read: a few octets of a compressed option can stand for
// many long names, and no resolver takes so many.
inline constexpr std::size_t kMostSearchDomains = 32;

// Whether a host can have the address: of class A, B or C, not 0.0.0.0/8 and not loopback.
bool is_unicast(const Ip& address);

std::optional<Ip> address_of(const Message& message, std::uint8_t code);
std::optional<std::uint16_t> short_of(const Message& message, std::uint8_t code);
std::optional<std::uint32_t> long_of(const Message& message, std::uint8_t code);

// Option 54 if it is an address that a server can have.
std::optional<Ip> server_of(const Message& message);

// Those of a list that a host can have.
std::vector<Ip> hosts_of(const Message& message, std::uint8_t code);

// A name without the NULs behind it. Absent also if it has other characters than letters, digits,
// '-', '.' and '_': it ends up in files and in the environment of programs.
std::optional<std::string> name_of(const Message& message, std::uint8_t code);

// Printable ASCII for messages to people, at most 200 characters; '?' for all others.
std::optional<std::string> text_of(const Message& message, std::uint8_t code);

// Option 33 (RFC 2132 5.8): destinations with the lengths of their classes; pairs that cannot be,
// the default route among them, are left out.
std::vector<LeasedRoute> static_routes_of(const Message& message);

// Option 121 (RFC 3442). Absent as a whole if a part of it is malformed.
std::optional<std::vector<LeasedRoute>> classless_routes_of(const Message& message);

// Option 119 (RFC 3397), without names that name_of would not take.
std::vector<std::string> search_domains_of(const Message& message);

}  // namespace cni::dhcp::v4
