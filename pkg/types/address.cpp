#include "pkg/types/address.hpp"

#include <arpa/inet.h>
#include <sys/random.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "pkg/types/error.hpp"

namespace cni {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::optional<std::array<std::uint8_t, 4>> parse_ipv4(std::string_view text) {
  std::array<std::uint8_t, 4> out{};
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t dot = i < 3 ? text.find('.') : text.size();
    if (dot == std::string_view::npos) return std::nullopt;
    const std::string_view octet = text.substr(0, dot);
    if (octet.empty() || octet.size() > 3 || (octet.size() > 1 && octet[0] == '0')) {
      return std::nullopt;
    }
    unsigned value = 0;
    const auto [end, ec] = std::from_chars(octet.data(), octet.data() + octet.size(), value);
    if (ec != std::errc{} || end != octet.data() + octet.size() || value > 255) return std::nullopt;
    out[i] = static_cast<std::uint8_t>(value);
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  return out;
}

// The longest run of zero groups, the first of equals, at least two groups long (RFC 5952 4.2).
struct ZeroRun {
  std::size_t begin = 8;
  std::size_t end = 8;
};

ZeroRun longest_zero_run(const std::array<std::uint16_t, 8>& groups) {
  ZeroRun best;
  for (std::size_t i = 0; i < 8; ++i) {
    std::size_t j = i;
    while (j < 8 && groups[j] == 0) ++j;
    if (j - i >= 2 && j - i > best.end - best.begin) best = {i, j};
    i = std::max(i, j);
  }
  return best;
}

std::string ipv6_text(const std::uint8_t* bytes) {
  std::array<std::uint16_t, 8> groups{};
  for (std::size_t i = 0; i < 8; ++i) {
    groups[i] = static_cast<std::uint16_t>(bytes[2 * i] << 8U | bytes[2 * i + 1]);
  }
  const ZeroRun run = longest_zero_run(groups);
  std::string out;
  for (std::size_t i = 0; i < 8; ++i) {
    if (i == run.begin) {
      out += "::";
      i = run.end - 1;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    char digits[4];
    const auto result = std::to_chars(digits, digits + sizeof digits, groups[i], 16);
    out.append(digits, result.ptr);
  }
  return out;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::optional<Ip> Ip::parse(std::string_view text) {
  Ip out;
  if (text.find(':') == std::string_view::npos) {
    const auto octets = parse_ipv4(text);
    if (!octets) return std::nullopt;
    std::copy(octets->begin(), octets->end(), out.bytes_.begin());
    return out;
  }
  if (text.size() >= INET6_ADDRSTRLEN) return std::nullopt;
  const std::size_t dot = text.find('.');
  if (dot != std::string_view::npos) {
    // inet_pton accepts leading zeros in the embedded IPv4 part on some systems.
    const std::size_t colon = text.rfind(':');
    if (!parse_ipv4(text.substr(colon + 1))) return std::nullopt;
  }
  char buffer[INET6_ADDRSTRLEN] = {};
  std::copy(text.begin(), text.end(), buffer);
  std::array<std::uint8_t, 16> bytes{};
  if (std::strlen(buffer) != text.size() || inet_pton(AF_INET6, buffer, bytes.data()) != 1) {
    return std::nullopt;
  }
  if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin())) {
    std::copy(bytes.begin() + 12, bytes.end(), out.bytes_.begin());
    return out;
  }
  out.family_ = Family::kIpv6;
  out.bytes_ = bytes;
  return out;
}

std::optional<Ip> Ip::from_bytes(const void* bytes, std::size_t size) {
  if (size != 4 && size != 16) return std::nullopt;
  Ip out;
  out.family_ = size == 4 ? Family::kIpv4 : Family::kIpv6;
  std::memcpy(out.bytes_.data(), bytes, size);
  return out;
}

std::string Ip::to_string() const {
  if (is_ipv4()) return cat(bytes_[0], '.', bytes_[1], '.', bytes_[2], '.', bytes_[3]);
  return ipv6_text(bytes_.data());
}

bool Ip::is_unspecified() const {
  return std::all_of(bytes_.begin(), bytes_.end(), [](std::uint8_t byte) { return byte == 0; });
}

bool Ip::is_loopback() const {
  if (is_ipv4()) return bytes_[0] == 127;
  return *this == *parse("::1");
}

bool Ip::is_multicast() const {
  return is_ipv4() ? (bytes_[0] & 0xf0U) == 0xe0 : bytes_[0] == 0xff;
}

bool Ip::is_link_local_unicast() const {
  if (is_ipv4()) return bytes_[0] == 169 && bytes_[1] == 254;
  return bytes_[0] == 0xfe && (bytes_[1] & 0xc0U) == 0x80;
}

bool Ip::is_global_unicast() const {
  const bool limited_broadcast =
      is_ipv4() && bytes_[0] == 255 && bytes_[1] == 255 && bytes_[2] == 255 && bytes_[3] == 255;
  return !is_unspecified() && !is_loopback() && !is_multicast() && !is_link_local_unicast() &&
         !limited_broadcast;
}

Ip Ip::next() const { return plus(1); }

Ip Ip::previous() const {
  Ip out = *this;
  for (std::size_t i = size(); i-- > 0;) {
    if (out.bytes_[i]-- != 0) break;
  }
  return out;
}

Ip Ip::plus(std::uint64_t offset) const {
  Ip out = *this;
  std::uint64_t carry = 0;
  for (std::size_t i = size(); i-- > 0 && (offset != 0 || carry != 0);) {
    const std::uint64_t sum = out.bytes_[i] + (offset & 0xffU) + carry;
    out.bytes_[i] = static_cast<std::uint8_t>(sum);
    carry = sum >> 8U;
    offset >>= 8U;
  }
  return out;
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = Ip::parse(text.substr(0, slash));
  const std::string_view digits = text.substr(slash + 1);
  if (!address || digits.empty() || digits.size() > 3) return std::nullopt;
  if (digits.size() > 1 && digits[0] == '0') return std::nullopt;
  unsigned length = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (ec != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  // ::ffff:192.0.2.1/120 is 192.0.2.1/24.
  const bool mapped = address->is_ipv4() && text.find(':') < slash;
  if (mapped) {
    if (length < 96) return std::nullopt;
    length -= 96;
  }
  if (length > address->width()) return std::nullopt;
  return Prefix{*address, length};
}

std::string Prefix::to_string() const { return cat(address.to_string(), '/', length); }

Prefix Prefix::network() const {
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), address.data(), address.size());
  for (unsigned bit = length; bit < address.width(); ++bit) {
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] & ~(0x80U >> (bit % 8)));
  }
  return {*Ip::from_bytes(bytes.data(), address.size()), length};
}

Ip Prefix::last() const {
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), address.data(), address.size());
  for (unsigned bit = length; bit < address.width(); ++bit) {
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] | (0x80U >> (bit % 8)));
  }
  return *Ip::from_bytes(bytes.data(), address.size());
}

bool Prefix::contains(const Ip& other) const {
  if (other.family() != address.family()) return false;
  return Prefix{other, length}.network().address == network().address;
}

bool Prefix::contains(const Prefix& other) const {
  return other.length >= length && contains(other.address);
}

bool Prefix::overlaps(const Prefix& other) const {
  return contains(other.network().address) || other.contains(network().address);
}

std::optional<Mac> Mac::parse(std::string_view text) {
  if (text.size() < 14) return std::nullopt;
  const char separator = text[2] == ':' || text[2] == '-' ? text[2] : '.';
  const std::size_t group = separator == '.' ? 4 : 2;
  Mac out;
  std::size_t digits_in_group = 0;
  for (std::size_t i = 0; i < text.size();) {
    if (digits_in_group == group) {
      if (text[i] != separator) return std::nullopt;
      digits_in_group = 0;
      ++i;
    }
    if (i + 1 >= text.size()) return std::nullopt;
    const int high = hex_digit(text[i]);
    const int low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out.bytes_.push_back(static_cast<std::uint8_t>(high << 4 | low));
    digits_in_group += 2;
    i += 2;
  }
  const std::size_t size = out.bytes_.size();
  if (digits_in_group != group || (size != 6 && size != 8 && size != 20)) return std::nullopt;
  return out;
}

Mac Mac::from_bytes(const void* bytes, std::size_t size) {
  Mac out;
  const auto* first = static_cast<const std::uint8_t*>(bytes);
  out.bytes_.assign(first, first + size);
  return out;
}

Mac Mac::random() {
  std::array<std::uint8_t, 6> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    throw system_error("read random bytes for a MAC address", errno);
  }
  bytes[0] = static_cast<std::uint8_t>((bytes[0] & 0xfcU) | 0x02U);
  return from_bytes(bytes.data(), bytes.size());
}

std::string Mac::to_string() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const std::uint8_t byte : bytes_) {
    if (!out.empty()) out += ':';
    out += kDigits[byte >> 4U];
    out += kDigits[byte & 0xfU];
  }
  return out;
}

}  // namespace cni
