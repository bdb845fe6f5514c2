// The configuration of the ipvlan plugin.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pkg/netlink/link.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/types/schema.hpp"

namespace cni::ipvlan {

struct Config {
  std::string master;  // empty: prevResult's interface, or the link of the default route
  bool link_in_container = false;
  netlink::IpvlanMode mode = netlink::IpvlanMode::kL2;
  std::uint32_t mtu = 0;  // 0: the master's
};

extern const schema::Description kDescription;

// Reads and validates what needs no look at the kernel. Throws before anything was touched.
Config parse(const skel::Request& request);

std::string_view to_string(netlink::IpvlanMode mode);

}  // namespace cni::ipvlan
