// The configuration of the macvlan plugin.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pkg/netlink/link.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/schema.hpp"

namespace cni::macvlan {

struct Config {
  std::string master;  // empty: the link of the default route
  bool link_in_container = false;
  netlink::MacvlanMode mode = netlink::MacvlanMode::kBridge;
  std::uint32_t mtu = 0;           // 0: the master's
  Mac mac;                         // empty: the kernel chooses
  Mac runtime_mac;                 // runtimeConfig.mac, which is also in mac
  std::uint32_t bc_queue_len = 0;  // 0: the kernel's default
};

extern const schema::Description kDescription;

// Reads and validates what needs no look at the kernel. Throws before anything was touched.
Config parse(const skel::Request& request);

std::string_view to_string(netlink::MacvlanMode mode);

}  // namespace cni::macvlan
