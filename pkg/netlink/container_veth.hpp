// The veth pair that connects a container with the host: names, creation, and finding the host end
// when all that is known of a container is its id.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/config.hpp"

namespace cni::netlink {

// What a pair belongs to.
struct VethOwner {
  std::string network;
  std::string container_id;
  std::string ifname;  // name of the container end
};

// The host end's name: "veth" and eight hexadecimal digits, derived from container id and interface
// name, so that DEL finds it without any other state. Attempts above 0 are for names that somebody
// else has.
std::string host_veth_name(const VethOwner& owner, unsigned attempt);

// The host end's alias (ip link: "alias"), which tells for sure whose it is:
// "cni:NETWORK:CONTAINERID:IFNAME", or with a digest in place of id and interface name where that
// would be too long for the kernel.
std::string host_veth_alias(const VethOwner& owner);

struct ContainerVeth {
  Link container;
  Link host;
};

struct ContainerVethSpec {
  VethOwner owner;
  Mac mac;                // of the container end; empty: the kernel chooses
  std::uint32_t mtu = 0;  // 0: the kernel's default
};

// Creates the pair, both ends down: the container end under its name in the container's namespace,
// the host end in the host's. Throws Code::kConflict `container veth name ("eth0") peer provided
// ("veth...") already exists` if the container has an interface of that name. `on_created` is
// called at once after the kernel has made the pair, before anything else.
ContainerVeth add_container_veth(Socket& host, const ns::Netns& host_netns, Socket& container,
                                 const ContainerVethSpec& spec,
                                 const std::function<void()>& on_created);

// Marks the host end with its alias and sets it up, in one message; as a port of a bridge if master
// is given. Router advertisements from the container are refused before (CVE-2020-10749).
void attach_host_veth(Socket& host, const Link& host_veth, const VethOwner& owner,
                      LinkIndex master = LinkIndex::kNone);

// The host end, if there is one that is the owner's.
std::optional<Link> find_host_veth(Socket& host, const VethOwner& owner);

// Removes the host end, and with it the pair, if there is one that is the owner's. False if not.
bool remove_host_veth(Socket& host, const VethOwner& owner);

// For GC: removes the host ends of a network whose attachments are not in the list. Lists the
// host's links.
void remove_stale_host_veths(Socket& host, std::string_view network,
                             std::span<const Attachment> valid);

}  // namespace cni::netlink
