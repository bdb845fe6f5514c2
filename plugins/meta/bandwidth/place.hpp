// Where an attachment is limited.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/skel/request.hpp"

namespace cni::bandwidth {

// The link whose queue is used: the host's end of a veth pair, as the reference does, where the
// container cannot undo it; or, if the container's interface has no end on the host (macvlan,
// ipvlan, a device of the host), that interface itself.
struct Place {
  netlink::Socket socket;  // in the namespace of the link
  netlink::Link link;
  std::string netns_path;  // empty: the host's namespace

  bool is_in_container() const { return !netns_path.empty(); }
};

// A socket in a namespace (empty path: the host's); absent if that is gone.
std::optional<netlink::Socket> open_place(const std::string& netns_path);

// Runs fn, which puts a queueing discipline on the link. If there is one already, the error is
// Code::kConflict and says how to look at it.
void explain_taken(const netlink::Link& link, const std::function<void()>& fn);

// Throws if the container has no interface CNI_IFNAME.
Place get_place(const skel::Request& request);

// For DEL: also where the container's interface or namespace is gone. Absent if there is no such
// place any more.
std::optional<Place> find_place(const skel::Request& request);

}  // namespace cni::bandwidth
