// The configuration of the tap plugin.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "pkg/netlink/tap.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/schema.hpp"

namespace cni::tap {

struct Config {
  bool multi_queue = false;
  std::uint32_t mtu = 0;  // 0: the kernel's default
  Mac mac;                // empty: the kernel chooses
  Mac runtime_mac;        // runtimeConfig.mac, which is also in mac
  std::optional<std::uint32_t> owner;
  std::optional<std::uint32_t> group;
  std::string selinux_context;
  std::string bridge;  // in the container; empty: none
};

extern const schema::Description kDescription;

// Reads and validates what needs no look at the kernel. Throws before anything was touched.
Config parse(const skel::Request& request);

// What the device is to be made with, called `name`.
netlink::TapSpec tap_spec(const Config& config, const std::string& name);

}  // namespace cni::tap
