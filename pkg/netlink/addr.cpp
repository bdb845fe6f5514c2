#include "pkg/netlink/addr.hpp"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "pkg/netlink/address_message.hpp"
#include "pkg/netlink/message.hpp"
#include "pkg/types/error.hpp"

namespace cni::netlink {
namespace {

std::uint8_t family_number(const Ip& ip) { return ip.is_ipv4() ? AF_INET : AF_INET6; }

Message address_message(int type, int flags, LinkIndex index, const Prefix& prefix) {
  ifaddrmsg header{};
  header.ifa_family = family_number(prefix.address);
  header.ifa_prefixlen = static_cast<std::uint8_t>(prefix.length);
  header.ifa_index = static_cast<unsigned>(index);
  Message message(type, flags);
  message.header(header).put_ip(IFA_LOCAL, prefix.address).put_ip(IFA_ADDRESS, prefix.address);
  return message;
}

std::string describe(std::string_view verb, const Prefix& prefix, LinkIndex index) {
  return cat(verb, " address ", prefix.to_string(), " link ", static_cast<int>(index));
}

}  // namespace

Address read_address(const nlmsghdr* message) {
  const auto& header = body_of<ifaddrmsg>(message);
  const Attributes attributes(message, sizeof header, IFA_MAX);
  // IFA_ADDRESS is the peer of a point-to-point address; IFA_LOCAL is not sent for most IPv6 ones.
  const int type = attributes.has(IFA_LOCAL) ? IFA_LOCAL : IFA_ADDRESS;
  const std::string_view bytes = attributes.bytes(type);
  Address address;
  address.prefix.address = Ip::from_bytes(bytes.data(), bytes.size()).value_or(Ip{});
  address.prefix.length = header.ifa_prefixlen;
  address.flags = attributes.u32(IFA_FLAGS, header.ifa_flags);
  address.scope = header.ifa_scope;
  address.link = LinkIndex{static_cast<int>(header.ifa_index)};
  return address;
}

void dump_addresses(Socket& socket, LinkIndex index, std::uint8_t family,
                    const Socket::OnMessage& take, const std::function<void()>& restart) {
  ifaddrmsg header{};
  header.ifa_family = family;
  header.ifa_index = static_cast<unsigned>(index);
  Message message(RTM_GETADDR, 0);
  message.header(header);
  const auto take_of_link = [&](const nlmsghdr* reply) {
    // Before Linux 5.0 all links' addresses come.
    const bool is_meant = index == LinkIndex::kNone ||
                          body_of<ifaddrmsg>(reply).ifa_index == static_cast<unsigned>(index);
    if (is_meant) take(reply);
  };
  try {
    socket.dump(message, cat("list addresses of link ", static_cast<int>(index)), take_of_link,
                restart);
  } catch (const Error& error) {
    if (error.sys_errno != ENODEV) throw;  // no such link: no addresses
  }
}

namespace {

void list_family(Socket& socket, LinkIndex index, std::uint8_t family, std::vector<Address>& out) {
  const std::size_t before = out.size();
  dump_addresses(
      socket, index, family, [&](const nlmsghdr* reply) { out.push_back(read_address(reply)); },
      [&] { out.resize(before); });
}

}  // namespace

bool Address::is_tentative() const {
  // An optimistic address is usable while its detection still runs.
  return (flags & IFA_F_TENTATIVE) != 0 && (flags & IFA_F_OPTIMISTIC) == 0;
}

bool Address::dad_failed() const { return (flags & IFA_F_DADFAILED) != 0; }

void add_address(Socket& socket, LinkIndex index, const Prefix& prefix, Dad dad) {
  constexpr unsigned kLongestWithBroadcast = 30;
  Message message = address_message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, prefix);
  if (prefix.address.is_ipv4() && prefix.length <= kLongestWithBroadcast) {
    message.put_ip(IFA_BROADCAST, prefix.last());
  }
  if (!prefix.address.is_ipv4() && dad == Dad::kSkip) message.put_u32(IFA_FLAGS, IFA_F_NODAD);
  try {
    socket.request(message, describe("add", prefix, index));
  } catch (Error& error) {
    // An ipvlan shares its MAC address with others, and the kernel lets only one have an address.
    if (error.sys_errno == EADDRINUSE) error.code = Code::kConflict;
    throw;
  }
}

bool remove_address(Socket& socket, LinkIndex index, const Prefix& prefix) {
  Message message = address_message(RTM_DELADDR, 0, index, prefix);
  try {
    socket.request(message, describe("delete", prefix, index));
    return true;
  } catch (const Error& error) {
    if (error.sys_errno == EADDRNOTAVAIL || error.sys_errno == ENODEV) return false;
    throw;
  }
}

std::vector<Address> list_addresses(Socket& socket, LinkIndex index) {
  std::vector<Address> out;
  list_family(socket, index, AF_INET, out);
  list_family(socket, index, AF_INET6, out);
  return out;
}

bool wait_for_dad(Socket& socket, const ns::Netns& netns, LinkIndex index,
                  std::chrono::milliseconds deadline) {
  const auto settled = [&] {
    std::vector<Address> addresses;
    list_family(socket, index, AF_INET6, addresses);
    for (const Address& address : addresses) {
      if (!address.dad_failed()) continue;
      throw Error(Code::kConflict, cat("address ", address.prefix.address.to_string(),
                                       " is in use by another host (duplicate address detection)"));
    }
    return std::none_of(addresses.begin(), addresses.end(),
                        [](const Address& address) { return address.is_tentative(); });
  };
  if (settled()) return true;

  Socket notifications = Socket::open_in(netns);
  notifications.subscribe(RTNLGRP_IPV6_IFADDR);
  if (settled()) return true;  // it may have ended before the subscription
  return notifications.wait_for(deadline, [&](const nlmsghdr*) { return settled(); });
}

}  // namespace cni::netlink
