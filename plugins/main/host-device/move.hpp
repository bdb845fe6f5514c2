// Moves of a device between the host and a container, each in one message: whoever is killed leaves
// it on one side or on the other, with all that leads back to it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "pkg/attachment/child_link.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/address.hpp"
#include "plugins/main/host-device/device.hpp"

namespace cni::host_device {

// Throws Code::kConflict if the container has an interface of that name.
void require_free_name(netlink::Socket& container, const Device& device, const std::string& ifname);

// Moves the device to the container under a name that is free there, with its name on the host as
// alias. It is down then. After an error it may be there nevertheless, but under no other name.
netlink::Link move_to_container(attachment::Sides& sides, const Device& device,
                                const std::string& ifname, std::uint32_t tag);

struct Return {
  std::string name;        // on the host
  bool up = false;         // else it stays down, as the move leaves it
  std::optional<Mac> mac;  // to get back
};
// Moves a device to the calling thread's namespace, without its alias. If the name is taken there
// it comes under a free one, "dev0" for instance, and Code::kConflict says so. Does nothing if the
// link is gone.
void move_to_host(netlink::Socket& container, const netlink::Link& link, const Return& wanted);

// Gives a device that the kernel has brought back its name again, and takes the alias off.
void restore_name(netlink::Socket& host, const netlink::Link& link, const std::string& name);

}  // namespace cni::host_device
