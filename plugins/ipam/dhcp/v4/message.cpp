#include "plugins/ipam/dhcp/v4/message.hpp"

#include <algorithm>

namespace cni::dhcp::v4 {
namespace {

// Where the fixed part has its fields (RFC 2131, figure 1).
constexpr std::size_t kXid = 4;
constexpr std::size_t kSecs = 8;
constexpr std::size_t kFlags = 10;
constexpr std::size_t kCiaddr = 12;
constexpr std::size_t kYiaddr = 16;
constexpr std::size_t kSiaddr = 20;
constexpr std::size_t kGiaddr = 24;
constexpr std::size_t kChaddr = 28;
constexpr std::size_t kSname = 44;
constexpr std::size_t kFile = 108;
constexpr std::size_t kCookie = 236;
constexpr std::size_t kOptions = 240;

constexpr std::array<std::uint8_t, 4> kMagicCookie = {99, 130, 83, 99};  // RFC 2131 3
constexpr std::uint8_t kBootRequest = 1;
constexpr std::uint8_t kBootReply = 2;
constexpr std::uint8_t kEthernet = 1;  // htype
constexpr std::size_t kEthernetLength = 6;
constexpr std::uint8_t kBroadcastFlag = 0x80;  // RFC 2131, figure 2: the first bit
constexpr std::uint8_t kPad = 0;
constexpr std::uint8_t kEnd = 255;
constexpr std::size_t kLongestPiece = 255;
constexpr std::size_t kShortestMessage = 300;  // RFC 1542 2.1

using View = std::span<const std::uint8_t>;
using Options = std::map<std::uint8_t, Bytes>;

void put(Bytes& out, std::size_t at, std::uint32_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) {
    out[at + i] = static_cast<std::uint8_t>(value >> (8 * (size - 1 - i)));
  }
}

std::uint32_t get(View data, std::size_t at, std::size_t size) {
  std::uint32_t out = 0;
  for (std::size_t i = 0; i < size; ++i) out = out << 8U | data[at + i];
  return out;
}

void put_address(Bytes& out, std::size_t at, const Ip& address) {
  if (address.is_ipv4()) {
    std::copy_n(address.data(), address.size(), out.begin() + static_cast<std::ptrdiff_t>(at));
  }
}

Ip get_address(View data, std::size_t at) { return *Ip::from_bytes(data.data() + at, 4); }

// In pieces, if it is too long for one length octet (RFC 3396 5).
void append_option(Bytes& out, std::uint8_t code, View value) {
  do {
    const View piece = value.first(std::min(value.size(), kLongestPiece));
    out.push_back(code);
    out.push_back(static_cast<std::uint8_t>(piece.size()));
    out.insert(out.end(), piece.begin(), piece.end());
    value = value.subspan(piece.size());
  } while (!value.empty());
}

// Adds a field's options to those known. False if one ends behind the field. A missing end mark is
// tolerated: the field's own end says as much.
bool read_options(View field, Options& out) {
  std::size_t at = 0;
  while (at < field.size() && field[at] != kEnd) {
    const std::uint8_t code = field[at++];
    if (code == kPad) continue;
    if (at == field.size()) return false;
    const std::size_t size = field[at++];
    if (size > field.size() - at) return false;
    const View value = field.subspan(at, size);
    Bytes& whole = out[code];
    whole.insert(whole.end(), value.begin(), value.end());
    at += size;
  }
  return true;
}

// The options field, then file, then sname, as option 52 says (RFC 3396 7: in this order).
bool read_all_options(View data, Options& out) {
  if (!read_options(data.subspan(kOptions), out)) return false;
  const auto overload = out.find(option::kOverload);
  if (overload == out.end()) return true;
  const unsigned fields = overload->second.size() == 1 ? overload->second[0] : 0;
  // Whatever it says applies to this layout alone, which is gone once everything is joined.
  out.erase(overload);
  const bool in_file = fields == 1 || fields == 3;
  const bool in_sname = fields == 2 || fields == 3;
  if (in_file && !read_options(data.subspan(kFile, kCookie - kFile), out)) return false;
  if (in_sname && !read_options(data.subspan(kSname, kFile - kSname), out)) return false;
  out.erase(option::kOverload);
  return true;
}

bool has_fixed_part(View data) {
  return data.size() >= kOptions && (data[0] == kBootRequest || data[0] == kBootReply) &&
         data[1] == kEthernet && data[2] == kEthernetLength &&
         std::equal(kMagicCookie.begin(), kMagicCookie.end(), data.begin() + kCookie);
}

}  // namespace

std::optional<MessageType> Message::type() const {
  const auto found = options.find(option::kMessageType);
  if (found == options.end() || found->second.size() != 1) return std::nullopt;
  const std::uint8_t value = found->second[0];
  if (value < static_cast<std::uint8_t>(MessageType::kDiscover) ||
      value > static_cast<std::uint8_t>(MessageType::kInform)) {
    return std::nullopt;
  }
  return static_cast<MessageType>(value);
}

Bytes encode(const Message& message) {
  Bytes out(kOptions);
  out[0] = message.is_reply ? kBootReply : kBootRequest;
  out[1] = kEthernet;
  out[2] = static_cast<std::uint8_t>(kEthernetLength);
  put(out, kXid, message.xid, 4);
  put(out, kSecs, message.secs, 2);
  if (message.broadcast) out[kFlags] = kBroadcastFlag;
  put_address(out, kCiaddr, message.ciaddr);
  put_address(out, kYiaddr, message.yiaddr);
  put_address(out, kSiaddr, message.siaddr);
  put_address(out, kGiaddr, message.giaddr);
  if (message.chaddr.size() == kEthernetLength) {
    std::copy_n(message.chaddr.data(), kEthernetLength, out.begin() + kChaddr);
  }
  std::copy(kMagicCookie.begin(), kMagicCookie.end(), out.begin() + kCookie);
  for (const auto& [code, value] : message.options) {
    const bool is_layout = code == kPad || code == kEnd || code == option::kOverload;
    if (!is_layout) append_option(out, code, value);
  }
  out.push_back(kEnd);
  out.resize(std::max(out.size(), kShortestMessage), kPad);
  return out;
}

std::optional<Message> decode(std::span<const std::uint8_t> data) {
  if (!has_fixed_part(data)) return std::nullopt;
  Message out;
  out.is_reply = data[0] == kBootReply;
  out.xid = get(data, kXid, 4);
  out.secs = static_cast<std::uint16_t>(get(data, kSecs, 2));
  out.broadcast = (data[kFlags] & kBroadcastFlag) != 0;
  out.ciaddr = get_address(data, kCiaddr);
  out.yiaddr = get_address(data, kYiaddr);
  out.siaddr = get_address(data, kSiaddr);
  out.giaddr = get_address(data, kGiaddr);
  out.chaddr = Mac::from_bytes(data.data() + kChaddr, kEthernetLength);
  if (!read_all_options(data, out.options)) return std::nullopt;
  return out;
}

}  // namespace cni::dhcp::v4
