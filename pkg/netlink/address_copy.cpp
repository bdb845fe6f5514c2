#include "pkg/netlink/address_copy.hpp"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "pkg/netlink/address_message.hpp"
#include "pkg/netlink/route_copy.hpp"
#include "pkg/types/error.hpp"

namespace cni::netlink {
namespace {

KernelAddress read_kernel_address(const nlmsghdr* message) {
  return {read_address(message),
          {reinterpret_cast<const char*>(message) + NLMSG_HDRLEN,
           message->nlmsg_len - std::size_t{NLMSG_HDRLEN}}};
}

}  // namespace

bool KernelAddress::is_automatic() const {
  const bool is_link_local = !address.prefix.address.is_ipv4() && address.scope == RT_SCOPE_LINK;
  return is_link_local || (address.flags & IFA_F_TEMPORARY) != 0;
}

bool KernelAddress::is_settled() const { return !address.is_tentative() && !address.dad_failed(); }

bool KernelAddress::is_untried() const { return (address.flags & IFA_F_NODAD) != 0; }

std::vector<KernelAddress> list_kernel_addresses(Socket& socket, LinkIndex index, Family family) {
  std::vector<KernelAddress> out;
  dump_addresses(
      socket, index, family == Family::kIpv4 ? AF_INET : AF_INET6,
      [&](const nlmsghdr* reply) { out.push_back(read_kernel_address(reply)); },
      [&] { out.clear(); });
  return out;
}

void put_kernel_address(Socket& socket, const KernelAddress& address, Dad dad) {
  ifaddrmsg header{};
  std::memcpy(&header, address.content.data(), std::min(sizeof header, address.content.size()));
  header.ifa_flags = 0;  // IFA_FLAGS says it
  Message message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
  message.header(header);
  for_each_attribute(std::string_view(address.content).substr(sizeof header),
                     [&](const nlattr* attribute) {
                       if (attribute->nla_type == IFA_FLAGS) return;
                       const std::string_view content = payload_of(attribute);
                       message.put(attribute->nla_type, content.data(), content.size());
                     });
  // The kernel passes over those that only it can set.
  message.put_u32(IFA_FLAGS, address.address.flags | (dad == Dad::kSkip ? IFA_F_NODAD : 0U));
  socket.request(
      message, cat("put address ", address.address.prefix.to_string(), " link ", header.ifa_index));
}

bool wait_for_local_routes(Socket& socket, const ns::Netns& netns, LinkIndex index, TableId table,
                           const std::vector<Ip>& addresses, std::chrono::milliseconds deadline) {
  const auto are_there = [&] {
    const auto routes =
        list_kernel_routes(socket, {.family = Family::kIpv6, .table = table, .link = index});
    return std::all_of(addresses.begin(), addresses.end(), [&](const Ip& address) {
      return std::any_of(routes.begin(), routes.end(), [&](const KernelRoute& route) {
        return route.is_local() && route.route.destination == Prefix::host(address);
      });
    });
  };
  if (addresses.empty() || are_there()) return true;

  Socket notifications = Socket::open_in(netns);
  notifications.subscribe(RTNLGRP_IPV6_ROUTE);
  if (are_there()) return true;  // they may have come before the subscription
  return notifications.wait_for(deadline, [&](const nlmsghdr*) { return are_there(); });
}

}  // namespace cni::netlink
