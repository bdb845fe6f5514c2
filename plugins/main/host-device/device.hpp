// The device of the host that a configuration means.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "plugins/main/host-device/config.hpp"

namespace cni::host_device {

// Decides whether deviceID is that of a PCI or of an auxiliary device. Throws
// Code::kInvalidNetworkConfig `runtime config DeviceID x not found or unsupported` if it is
// neither.
void resolve_device_id(Config& config);

// True for a PCI device that belongs to a driver for programs in user space (DPDK): the kernel has
// no interface for it.
bool is_in_user_space(const Config& config);

struct Device {
  netlink::Link link;
  std::string name;  // what it is called on the host while nothing is amiss
};
// Throws Code::kInvalidNetworkConfig `failed to find host device: ...` if the host does not have it
// now, and Code::kConflict for one that is a port of something else.
Device find_device(netlink::Socket& host, const Config& config);

// The device that the configuration names, where the kernel has brought it back to the host under
// another name: it does so when a namespace ends, and leaves the alias.
std::optional<netlink::Link> find_brought_back(netlink::Socket& host, const Config& config);

// What the kernel may call the device on its bus (Link::bus_device).
std::vector<std::string> bus_names(const Config& config);

}  // namespace cni::host_device
