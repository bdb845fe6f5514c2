// Persistent tap devices: Ethernet interfaces whose wire is a file that a program opens, a virtual
// machine for instance. The kernel makes them by ioctls on /dev/net/tun, not by netlink.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace cni::netlink {

struct TapSpec {
  std::string name;
  bool multi_queue = false;
  bool packet_info = false;  // a header of four octets before each frame
  bool vnet_header = false;  // a virtio header before each frame
  // Who may open it beside the administrator. With neither, everybody who may open /dev/net/tun.
  std::optional<std::uint32_t> owner;
  std::optional<std::uint32_t> group;
};

// Makes one, down and with nobody at its wire, in the calling thread's network namespace. A caller
// who is killed leaves a whole one or none. Throws with EBUSY if the name is taken, and otherwise
// as require_tap does.
void add_tap(const TapSpec& spec);

// Throws Code::kMissingKernelFeature, saying which, if /dev/net/tun is missing, may not be opened
// or has no driver.
void require_tap();

}  // namespace cni::netlink
