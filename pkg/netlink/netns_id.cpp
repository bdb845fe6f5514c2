#include "pkg/netlink/netns_id.hpp"

#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "pkg/netlink/message.hpp"

namespace cni::netlink {

std::optional<int> find_netns_id(Socket& socket, const ns::Netns& other) {
  rtgenmsg header{};
  header.rtgen_family = AF_UNSPEC;
  Message message(RTM_GETNSID, 0);
  message.header(header).put_u32(NETNSA_FD, static_cast<std::uint32_t>(other.fd()));
  int id = NETNSA_NSID_NOT_ASSIGNED;
  socket.get(message, "look up the number of a network namespace", [&](const nlmsghdr* reply) {
    // The header is one octet, which is padded to four.
    const Attributes attributes(reply, NLMSG_ALIGN(sizeof(rtgenmsg)), NETNSA_MAX);
    id = static_cast<int>(
        attributes.u32(NETNSA_NSID, static_cast<std::uint32_t>(NETNSA_NSID_NOT_ASSIGNED)));
  });
  if (id == NETNSA_NSID_NOT_ASSIGNED) return std::nullopt;
  return id;
}

}  // namespace cni::netlink
