// The configuration of the host-device plugin.
#pragma once

#include <string>

#include "pkg/skel/request.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/schema.hpp"

namespace cni::host_device {

// What the device is known by.
enum class Selector { kNone, kName, kHwaddr, kKernelPath, kPci, kAuxiliary };

struct Config {
  // Of these the first that is given counts.
  std::string device;
  Mac hwaddr;
  std::string kernel_path;  // below /sys/devices
  std::string pci_bus_id;
  std::string auxiliary_id;
  std::string device_id;  // runtimeConfig.deviceID: replaces the two above

  Selector selector() const;
};

extern const schema::Description kDescription;

// Reads and validates what needs no look at the kernel. Throws before anything was touched.
Config parse(const skel::Request& request);

// For DEL: what can be used of a configuration, whatever else is wrong with it.
Config parse_leniently(const skel::Request& request);

}  // namespace cni::host_device
