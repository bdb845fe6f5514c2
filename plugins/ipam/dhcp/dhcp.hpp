// The dhcp IPAM plugin: leases addresses from DHCP servers, through a daemon that keeps the leases.
#pragma once

#include "pkg/skel/plugin.hpp"

namespace cni::dhcp {

extern const skel::Plugin plugin;

}  // namespace cni::dhcp
