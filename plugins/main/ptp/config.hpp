// The configuration of the ptp plugin.
#pragma once

#include <cstdint>
#include <string>

#include "pkg/skel/request.hpp"
#include "pkg/types/schema.hpp"

namespace cni::ptp {

struct Config {
  bool ip_masq = false;
  std::string ip_masq_backend;  // empty: chosen by what the host has
  std::uint32_t mtu = 0;        // 0: the kernel's default
};

extern const schema::Description kDescription;

// Reads and validates everything. Throws before anything was touched.
Config parse(const skel::Request& request);

}  // namespace cni::ptp
