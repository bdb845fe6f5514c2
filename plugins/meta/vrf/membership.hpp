// An interface's way into a VRF and out of it.
#pragma once

#include <optional>
#include <string>

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/os/lock.hpp"
#include "pkg/os/undo.hpp"
#include "plugins/meta/vrf/config.hpp"

namespace cni::vrf {

// Keeps others of this plugin out of a container while it works there: without, one could remove a
// VRF as unused that another has just found.
class Container {
 public:
  // Throws Code::kInvalidNetns if the path is no namespace.
  static Container enter(const std::string& netns_path);
  // For DEL: absent without a namespace.
  static std::optional<Container> find(const std::string& netns_path);

  const ns::Netns& netns() const { return netns_; }
  netlink::Socket& socket() { return socket_; }

 private:
  explicit Container(ns::Netns netns);

  ns::Netns netns_;
  os::DescriptorLock lock_;
  netlink::Socket socket_;
};

// Puts the link into the VRF, which is made if need be, with all of its addresses and routes.
void join(Container& container, const std::string& ifname, const Config& config, os::Undo& undo);

// Takes the link out of the VRF that it is in. The VRF that it was in, and the one called `name`
// unless that is empty, are removed if nothing is in them. Tolerates that any of it is gone. Goes
// on after a failure and throws one error at the end.
void leave(Container& container, const std::string& ifname, const std::string& name);

// Throws Code::kConflict unless the link is a VRF with the configured table, if one is.
void check_vrf(const netlink::Link& link, const Config& config);

}  // namespace cni::vrf
