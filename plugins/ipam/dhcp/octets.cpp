#include "plugins/ipam/dhcp/octets.hpp"

#include <optional>

#include "pkg/types/error.hpp"

namespace cni::dhcp {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

std::optional<Bytes> parse_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  Bytes out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const std::size_t high = kDigits.find(text[i]);
    const std::size_t low = kDigits.find(text[i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    out.push_back(static_cast<std::uint8_t>(high * 16 + low));
  }
  return out;
}

}  // namespace

std::string to_hex(const Bytes& octets) {
  std::string out;
  out.reserve(octets.size() * 2);
  for (const std::uint8_t octet : octets) {
    out.push_back(kDigits[octet / 16U]);
    out.push_back(kDigits[octet % 16U]);
  }
  return out;
}

Bytes read_hex(const Reader& in, std::string_view key, std::size_t most) {
  std::string text;
  in.required(key, text);
  if (text.size() > most * 2) {
    throw Error(Code::kDecodingFailure, cat(in.path_of(key), ": ", text.size() / 2,
                                            " octets, and at most ", most, " are possible"));
  }
  auto octets = parse_hex(text);
  if (octets) return *std::move(octets);
  throw Error(Code::kDecodingFailure, cat(in.path_of(key), ": expected pairs of lower-case ",
                                          "hexadecimal digits, got ", quote(text)));
}

}  // namespace cni::dhcp
