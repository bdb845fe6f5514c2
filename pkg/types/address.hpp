// IP addresses, prefixes and link-layer addresses: parse, print, compare, arithmetic. No I/O.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cni {

enum class Family : std::uint8_t { kIpv4, kIpv6 };

// An IPv4 or IPv6 address. IPv4-mapped IPv6 text (::ffff:192.0.2.1) is an IPv4 address.
class Ip {
 public:
  Ip() = default;  // 0.0.0.0

  // Absent for anything but an address: leading zeros in IPv4 octets and zone identifiers are
  // refused.
  static std::optional<Ip> parse(std::string_view text);
  // bytes: 4 or 16 octets in network order; absent for another length. No IPv4-mapped conversion.
  static std::optional<Ip> from_bytes(const void* bytes, std::size_t size);

  Family family() const { return family_; }
  bool is_ipv4() const { return family_ == Family::kIpv4; }
  // Bits of the family: 32 or 128.
  unsigned width() const { return is_ipv4() ? 32 : 128; }
  // The octets in network order, 4 or 16 of them.
  const std::uint8_t* data() const { return bytes_.data(); }
  std::size_t size() const { return is_ipv4() ? 4 : 16; }

  // IPv4 in dotted form, IPv6 as RFC 5952 writes it.
  std::string to_string() const;

  bool is_unspecified() const;
  bool is_loopback() const;
  bool is_multicast() const;
  bool is_link_local_unicast() const;
  // Unicast, and neither unspecified, loopback, limited broadcast nor link-local; private ranges
  // count.
  bool is_global_unicast() const;

  // The address after or before this one; wraps at the ends of the family.
  Ip next() const;
  Ip previous() const;
  // This address plus an offset; wraps.
  Ip plus(std::uint64_t offset) const;

  // IPv4 sorts before IPv6, then by value.
  std::strong_ordering operator<=>(const Ip& other) const = default;
  bool operator==(const Ip& other) const = default;

 private:
  Family family_ = Family::kIpv4;
  std::array<std::uint8_t, 16> bytes_{};  // IPv4 uses the first four; the rest stay zero
};

// An address with a prefix length. Host bits are kept (192.0.2.5/24 stays that), as CNI's CIDR
// fields need.
struct Prefix {
  Ip address;
  unsigned length = 0;  // 0 to address.width()

  // "address/length"; absent for anything else.
  static std::optional<Prefix> parse(std::string_view text);
  // The /32 or /128 of one address.
  static Prefix host(const Ip& address) { return {address, address.width()}; }

  std::string to_string() const;
  // Host bits cleared.
  Prefix network() const;
  // Host bits all ones: the broadcast address of an IPv4 network.
  Ip last() const;
  bool contains(const Ip& other) const;
  bool contains(const Prefix& other) const;
  bool overlaps(const Prefix& other) const;
  bool is_default() const { return length == 0 && address.is_unspecified(); }

  bool operator==(const Prefix& other) const = default;
};

// A link-layer address of 6, 8 or 20 octets (Ethernet, EUI-64, IP over InfiniBand); empty when
// default-constructed.
class Mac {
 public:
  Mac() = default;

  // Octets in hexadecimal, separated by ":" or "-", or groups of four digits separated by ".".
  static std::optional<Mac> parse(std::string_view text);
  static Mac from_bytes(const void* bytes, std::size_t size);
  // A random unicast, locally administered Ethernet address.
  static Mac random();

  bool empty() const { return bytes_.empty(); }
  const std::uint8_t* data() const { return bytes_.data(); }
  std::size_t size() const { return bytes_.size(); }
  // Lower-case octets joined by ":".
  std::string to_string() const;

  bool operator==(const Mac& other) const = default;

 private:
  std::vector<std::uint8_t> bytes_;
};

}  // namespace cni
