#include "plugins/ipam/dhcp/v4/frame.hpp"

#include <algorithm>
#include <array>

#include "pkg/types/error.hpp"

namespace cni::dhcp::v4 {
namespace {

using View = std::span<const std::uint8_t>;

constexpr std::size_t kMacLength = 6;
constexpr std::size_t kEthernetHeader = 14;
constexpr std::size_t kIpHeader = 20;  // without options
constexpr std::size_t kUdpHeader = 8;
constexpr std::size_t kArpPacket = 28;
constexpr std::size_t kLongestIpPacket = 65535;

constexpr std::uint16_t kEtherTypeIp = 0x0800;
constexpr std::uint16_t kEtherTypeArp = 0x0806;
constexpr std::uint8_t kTimeToLive = 64;
constexpr std::uint8_t kUdp = 17;
constexpr std::uint32_t kFragmentBits = 0x3fff;  // more fragments, and the offset (RFC 791 3.1)
constexpr std::uint16_t kArpEthernet = 1;
constexpr std::uint16_t kArpRequest = 1;
constexpr std::uint16_t kArpReply = 2;

void put16(Bytes& out, std::size_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8U));
  out.push_back(static_cast<std::uint8_t>(value));
}

void set16(Bytes& out, std::size_t at, std::uint16_t value) {
  out[at] = static_cast<std::uint8_t>(value >> 8U);
  out[at + 1] = static_cast<std::uint8_t>(value);
}

std::uint16_t get16(View data, std::size_t at) {
  return static_cast<std::uint16_t>(data[at] << 8U | data[at + 1]);
}

void append(Bytes& out, View data) { out.insert(out.end(), data.begin(), data.end()); }

View octets(const Ip& address) { return {address.data(), address.size()}; }

// The sum of RFC 1071, not yet folded: an IP packet is too short for it to overflow.
std::uint32_t sum(View data, std::uint32_t start = 0) {
  std::uint32_t out = start;
  for (std::size_t i = 0; i + 1 < data.size(); i += 2) out += get16(data, i);
  if (data.size() % 2 != 0) out += static_cast<std::uint32_t>(data.back()) << 8U;
  return out;
}

std::uint16_t checksum(std::uint32_t sum) {
  while (sum > 0xffff) sum = (sum & 0xffffU) + (sum >> 16U);
  return static_cast<std::uint16_t>(~sum);
}

// Of the pseudo header of RFC 768: both addresses, the protocol and the length.
std::uint32_t pseudo_header_sum(View addresses, std::size_t udp_length) {
  return sum(addresses) + kUdp + static_cast<std::uint32_t>(udp_length);
}

void check_sender(const Mac& from) {
  if (from.size() == kMacLength) return;
  throw Error(Code::kInvalidNetworkConfig,
              cat("DHCP is for Ethernet links, and ", quote(from.to_string()),
                  " is no Ethernet address: lease addresses on another interface"));
}

void append_ethernet_header(Bytes& out, const Mac& from, std::uint16_t type) {
  out.insert(out.end(), kMacLength, 0xff);
  append(out, {from.data(), from.size()});
  put16(out, type);
}

void append_ip_header(Bytes& out, const Ip& source, const Ip& destination, std::size_t length) {
  out.push_back(0x45);  // version 4, five words
  out.push_back(0);     // type of service
  put16(out, length);
  put16(out, 0);  // identification: means nothing for what is no fragment (RFC 6864)
  put16(out, 0);
  out.push_back(kTimeToLive);
  out.push_back(kUdp);
  put16(out, 0);
  append(out, octets(source));
  append(out, octets(destination));
  const View header(out.data() + kEthernetHeader, kIpHeader);
  set16(out, kEthernetHeader + 10, checksum(sum(header)));
}

// The IP packet in a frame, without what is behind it; absent if it is none, a fragment, or broken.
std::optional<View> find_ip_packet(View frame) {
  if (frame.size() < kEthernetHeader + kIpHeader) return std::nullopt;
  if (get16(frame, 12) != kEtherTypeIp) return std::nullopt;
  const View packet = frame.subspan(kEthernetHeader);
  const std::size_t header = (packet[0] & 0xfU) * std::size_t{4};
  const std::size_t length = get16(packet, 2);
  if (packet[0] >> 4U != 4 || header < kIpHeader || length < header || length > packet.size()) {
    return std::nullopt;
  }
  if (checksum(sum(packet.first(header))) != 0) return std::nullopt;
  if ((get16(packet, 6) & kFragmentBits) != 0) return std::nullopt;
  return packet.first(length);
}

bool is_udp_checksum_right(View addresses, View datagram) {
  if (get16(datagram, 6) == 0) return true;
  return checksum(sum(datagram, pseudo_header_sum(addresses, datagram.size()))) == 0;
}

}  // namespace

Bytes encode_frame(const Mac& from, const Ip& source, const Ip& destination,
                   std::span<const std::uint8_t> message) {
  check_sender(from);
  const std::size_t udp_length = kUdpHeader + message.size();
  if (udp_length > kLongestIpPacket - kIpHeader) {
    throw Error(Code::kInvalidNetworkConfig, cat("a DHCP message of ", message.size(),
                                                 " octets does not fit into an IP packet: "
                                                 "shorten the options that ipam.provide lists"));
  }
  Bytes out;
  out.reserve(kEthernetHeader + kIpHeader + udp_length);
  append_ethernet_header(out, from, kEtherTypeIp);
  append_ip_header(out, source, destination, kIpHeader + udp_length);
  const std::size_t udp_at = out.size();
  put16(out, kClientPort);
  put16(out, kServerPort);
  put16(out, udp_length);
  put16(out, 0);
  append(out, message);
  const View addresses = View(out).subspan(udp_at - 8, 8);
  const std::uint32_t total =
      sum(View(out).subspan(udp_at), pseudo_header_sum(addresses, udp_length));
  const std::uint16_t value = checksum(total);
  // 0 stands for no checksum (RFC 768).
  set16(out, udp_at + 6, value == 0 ? std::uint16_t{0xffff} : value);
  return out;
}

std::optional<std::span<const std::uint8_t>> find_payload(std::span<const std::uint8_t> frame,
                                                          bool checksum_is_known) {
  const auto packet = find_ip_packet(frame);
  if (!packet || (*packet)[9] != kUdp) return std::nullopt;
  const View rest = packet->subspan((packet->front() & 0xfU) * std::size_t{4});
  if (rest.size() < kUdpHeader || get16(rest, 2) != kClientPort) return std::nullopt;
  const std::size_t length = get16(rest, 4);
  if (length < kUdpHeader || length > rest.size()) return std::nullopt;
  const View datagram = rest.first(length);
  if (checksum_is_known && !is_udp_checksum_right(packet->subspan(12, 8), datagram)) {
    return std::nullopt;
  }
  return datagram.subspan(kUdpHeader);
}

Bytes encode_arp_probe(const Mac& from, const Ip& address) {
  check_sender(from);
  Bytes out;
  out.reserve(kEthernetHeader + kArpPacket);
  append_ethernet_header(out, from, kEtherTypeArp);
  put16(out, kArpEthernet);
  put16(out, kEtherTypeIp);
  out.push_back(kMacLength);
  out.push_back(4);
  put16(out, kArpRequest);
  append(out, {from.data(), from.size()});
  append(out, octets(Ip{}));
  out.insert(out.end(), kMacLength, 0);
  append(out, octets(address));
  return out;
}

bool is_conflict(std::span<const std::uint8_t> frame, const Mac& own, const Ip& address) {
  if (frame.size() < kEthernetHeader + kArpPacket || get16(frame, 12) != kEtherTypeArp ||
      !address.is_ipv4() || address.is_unspecified()) {
    return false;
  }
  const View arp = frame.subspan(kEthernetHeader, kArpPacket);
  const std::uint16_t operation = get16(arp, 6);
  if (get16(arp, 0) != kArpEthernet || get16(arp, 2) != kEtherTypeIp || arp[4] != kMacLength ||
      arp[5] != 4 || (operation != kArpRequest && operation != kArpReply)) {
    return false;
  }
  // One's own probe comes back from a link that loops, and from a bridge that hairpins.
  if (Mac::from_bytes(arp.data() + 8, kMacLength) == own) return false;
  const Ip sender = *Ip::from_bytes(arp.data() + 14, 4);
  const Ip target = *Ip::from_bytes(arp.data() + 24, 4);
  const bool is_probe = operation == kArpRequest && sender.is_unspecified();
  return sender == address || (is_probe && target == address);
}

}  // namespace cni::dhcp::v4
