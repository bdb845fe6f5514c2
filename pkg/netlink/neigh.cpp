#include "pkg/netlink/neigh.hpp"

#include <arpa/inet.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "pkg/netlink/message.hpp"
#include "pkg/os/fd.hpp"
#include "pkg/types/error.hpp"

namespace cni::netlink {
namespace {

Message neighbour_message(int type, int flags, const Neighbour& neighbour) {
  ndmsg header{};
  header.ndm_family = neighbour.address.is_ipv4() ? AF_INET : AF_INET6;
  header.ndm_ifindex = static_cast<int>(neighbour.link);
  header.ndm_state = NUD_PERMANENT;
  Message message(type, flags);
  message.header(header).put_ip(NDA_DST, neighbour.address);
  if (!neighbour.mac.empty()) message.put_mac(NDA_LLADDR, neighbour.mac);
  return message;
}

constexpr std::size_t kMacSize = 6;
using EthernetAddress = std::array<std::uint8_t, kMacSize>;
constexpr EthernetAddress kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
constexpr EthernetAddress kAllNodesMac = {0x33, 0x33, 0, 0, 0, 1};  // of ff02::1, RFC 2464 7

void append(std::vector<std::uint8_t>& out, const void* data, std::size_t size) {
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  out.insert(out.end(), bytes, bytes + size);
}

void append_ethernet_header(std::vector<std::uint8_t>& out, const EthernetAddress& to,
                            const Mac& from, std::uint16_t protocol) {
  append(out, to.data(), to.size());
  append(out, from.data(), kMacSize);
  const std::uint16_t type = htons(protocol);
  append(out, &type, sizeof type);
}

// ARP request for our own address, sender and target the same (RFC 5227 2.3, an ARP announcement).
std::vector<std::uint8_t> arp_announcement(const Mac& mac, const Ip& ip) {
  std::vector<std::uint8_t> out;
  append_ethernet_header(out, kBroadcast, mac, ETH_P_ARP);
  const std::array<std::uint8_t, 8> fixed = {0, ARPHRD_ETHER, 0x08, 0x00, kMacSize, 4,
                                             0, ARPOP_REQUEST};
  append(out, fixed.data(), fixed.size());
  append(out, mac.data(), kMacSize);
  append(out, ip.data(), ip.size());
  const EthernetAddress unknown{};
  append(out, unknown.data(), unknown.size());
  append(out, ip.data(), ip.size());
  return out;
}

std::uint16_t internet_checksum(const std::vector<std::uint8_t>& data) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < data.size(); i += 2) {
    sum += static_cast<std::uint32_t>(data[i] << 8U);
    if (i + 1 < data.size()) sum += data[i + 1];
  }
  while (sum > 0xffff) sum = (sum & 0xffffU) + (sum >> 16U);
  return static_cast<std::uint16_t>(~sum);
}

// Unsolicited neighbour advertisement to all nodes with the override flag and our link-layer address (RFC 4861 4.4, 7.2.6).
std::vector<std::uint8_t> neighbour_advertisement(const Mac& mac, const Ip& ip) {
  constexpr std::uint8_t kAdvertisement = 136;
  constexpr std::uint8_t kOverride = 0x20;
  constexpr std::uint8_t kTargetLinkLayerAddress = 2;
  constexpr std::uint8_t kIcmpSize = 32;
  const Ip all_nodes = *Ip::parse("ff02::1");

  std::vector<std::uint8_t> icmp = {kAdvertisement, 0, 0, 0, kOverride, 0, 0, 0};
  append(icmp, ip.data(), ip.size());
  icmp.push_back(kTargetLinkLayerAddress);
  icmp.push_back(1);  // length in units of eight octets
  append(icmp, mac.data(), kMacSize);

  std::vector<std::uint8_t> pseudo;  // RFC 8200 8.1
  append(pseudo, ip.data(), ip.size());
  append(pseudo, all_nodes.data(), all_nodes.size());
  const std::array<std::uint8_t, 8> length = {0, 0, 0, kIcmpSize, 0, 0, 0, IPPROTO_ICMPV6};
  append(pseudo, length.data(), length.size());
  append(pseudo, icmp.data(), icmp.size());
  const std::uint16_t checksum = internet_checksum(pseudo);
  icmp[2] = static_cast<std::uint8_t>(checksum >> 8U);
  icmp[3] = static_cast<std::uint8_t>(checksum);

  std::vector<std::uint8_t> out;
  append_ethernet_header(out, kAllNodesMac, mac, ETH_P_IPV6);
  // Version 6, payload length, next header, hop limit 255 as RFC 4861 7.1.2 demands.
  const std::array<std::uint8_t, 8> fixed = {0x60, 0, 0, 0, 0, kIcmpSize, IPPROTO_ICMPV6, 255};
  append(out, fixed.data(), fixed.size());
  append(out, ip.data(), ip.size());
  append(out, all_nodes.data(), all_nodes.size());
  append(out, icmp.data(), icmp.size());
  return out;
}

}  // namespace

void set_neighbour(Socket& socket, const Neighbour& neighbour) {
  Message message = neighbour_message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, neighbour);
  socket.request(message, cat("set neighbour ", neighbour.address.to_string()));
}

bool remove_neighbour(Socket& socket, const Neighbour& neighbour) {
  Message message = neighbour_message(RTM_DELNEIGH, 0, neighbour);
  try {
    socket.request(message, cat("delete neighbour ", neighbour.address.to_string()));
    return true;
  } catch (const Error& error) {
    if (error.sys_errno == ENOENT || error.sys_errno == ENODEV) return false;
    throw;
  }
}

bool announce_addresses(LinkIndex link, const Mac& mac, const std::vector<Ip>& addresses) {
  if (mac.size() != kMacSize || addresses.empty()) return false;
  // Protocol 0: the socket only sends, so the kernel need not pass it any packet.
  const os::Fd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!fd) return false;
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = static_cast<int>(link);
  bool all_sent = true;
  for (const Ip& ip : addresses) {
    const auto frame = ip.is_ipv4() ? arp_announcement(mac, ip) : neighbour_advertisement(mac, ip);
    const ssize_t sent = ::sendto(fd.get(), frame.data(), frame.size(), MSG_DONTWAIT,
                                  reinterpret_cast<const sockaddr*>(&to), sizeof to);
    all_sent = all_sent && sent >= 0;
  }
  return all_sent;
}

}  // namespace cni::netlink
