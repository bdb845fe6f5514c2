// Which interface of a container an attachment's device is, also after the container has renamed
// it. See docs/decisions/0051-host-device-finds-its-device.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/skel/request.hpp"
#include "plugins/main/host-device/config.hpp"

namespace cni::host_device {

// What ADD writes into the tag of the device in the container: a number of this attachment's own,
// and whether the device had its permanent MAC address.
std::uint32_t tag_of(const skel::Request& request, const netlink::Link& device);

// What DEL and CHECK know the device by.
struct Evidence {
  std::string ifname;
  std::uint32_t tag = 0;
  std::string device;  // its name on the host
  Mac hwaddr;
  std::vector<std::string> bus_names;
  Mac prev_mac;  // prevResult's
};
Evidence evidence_of(const skel::Request& request, const Config& config);

// Absent if the container has no such interface, or if it is in doubt which one it is; then `doubt`
// says what was left where it is.
std::optional<netlink::Link> find_in_container(netlink::Socket& container, const Evidence& evidence,
                                               std::string& doubt);

// Why an interface called CNI_IFNAME is not this attachment's device; empty if nothing speaks
// against it.
std::string contradiction(netlink::Socket& container, const Evidence& evidence,
                          const netlink::Link& link);

// The MAC address that the device has to get back: its permanent one, if it had that when it was
// lent and has another now.
std::optional<Mac> mac_to_restore(const Evidence& evidence, const netlink::Link& link);

}  // namespace cni::host_device
