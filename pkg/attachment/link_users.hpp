// Who stands on a link. The kernel's refusals do not say, and the others may be in any namespace.
#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "pkg/attachment/child_link.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"

namespace cni::attachment {

struct LinkUser {
  netlink::Link link;
  std::string where;  // "on the host", "in this container", "in /run/netns/blue"

  std::string describe() const;  // "ipvlan eth0 in /run/netns/blue"
};

using LinkCondition = std::function<bool(const netlink::Link&)>;

// The first link of one of these types on the master that satisfies the condition. Looked for on
// the host, in the container and in the namespaces below /run/netns, in this order and only until
// there is one. A namespace that cannot be looked into is passed over.
std::optional<LinkUser> find_link_user(Sides& sides, const Master& master,
                                       std::initializer_list<std::string_view> kinds,
                                       const LinkCondition& condition);
// The same without a container, for STATUS. The master has to be on the host.
std::optional<LinkUser> find_link_user(netlink::Socket& host, const Master& master,
                                       std::initializer_list<std::string_view> kinds,
                                       const LinkCondition& condition);

}  // namespace cni::attachment
