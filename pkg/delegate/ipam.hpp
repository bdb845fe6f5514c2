// Address management by a delegate, and putting its result on an interface.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/delegate/delegate.hpp"
#include "pkg/netlink/addr.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/os/undo.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/types/result.hpp"

namespace cni::delegate {

// ADD of the configuration's ipam.type, in steps: the delegate starts up while the caller makes the
// link, and chooses addresses while the caller sets it up. The request has to outlive it.
class IpamAddition {
 public:
  // Starts the delegate, which reserves nothing yet. Throws as Delegate does.
  explicit IpamAddition(const skel::Request& request);

  // Lets it reserve addresses; pushes their release first. A delegate whose ADD fails gets a DEL
  // too before the error goes on (SPEC.md, delegated ADD). Only to be called once CNI_IFNAME is
  // the caller's: that DEL would release the address of the container's other interface of that
  // name.
  void begin(os::Undo& undo);
  // Its result. Throws `IPAM plugin returned missing IP config` for one without addresses.
  Result finish();

 private:
  const skel::Request& request_;
  Delegate delegate_;
};

// Each runs the verb of ipam.type; they do nothing if there is no ipam.type.
void ipam_del(const skel::Request& request);
// Runs ipam_del and remove_link, each whatever becomes of the other. The link goes first, so that
// its address is free only when nothing has it; but dhcp gives its lease back over the link.
void ipam_del_with_link(const skel::Request& request, ErrorList& errors,
                        const std::function<void()>& remove_link);
void ipam_check(const skel::Request& request);
void ipam_status(const skel::Request& request);
void ipam_gc(const skel::Request& request);
// UPDATE: the attachment's result with what the manager changes of it; absent for a trial, and
// without ipam.type. Throws Code::kCannotUpdate for a manager that does not know the verb.
std::optional<Result> ipam_update(const skel::Request& request);

struct InterfaceSetup {
  netlink::Dad dad = netlink::Dad::kKernelDefault;
  bool notify_neighbours =
      false;  // arp_notify and, with an IPv6 address, ndisc_notify = 1; failure ignored
  enum class AcceptDad { kUnchanged, kOff, kOn } accept_dad = AcceptDad::kUnchanged;
};

// Puts the result's addresses for the interface on it, sets it up, adds the routes, and waits for
// duplicate address detection where it runs on a link that is up. The interface's whole
// configuration goes with the link: there is nothing to undo.
void configure_interface(const ns::Netns& netns, netlink::Socket& container,
                         const netlink::Link& link, const Result& result,
                         const InterfaceSetup& setup);

// Makes on the link the difference between the routes of two results, with the gateways of the
// second one's addresses where a route has none of its own. May be repeated.
void change_routes(netlink::Socket& container, const netlink::Link& link, const Result& was,
                   const Result& now);

// CHECK: every address of prevResult is on the link, every route of prevResult leads over it, in
// whichever table a chained plugin moved it to. Throws Code::kCheckFailed naming the first one
// missing.
void check_addresses(netlink::Socket& container, const netlink::Link& link, const Result& expected);
void check_routes(netlink::Socket& container, const netlink::Link& link, const Result& expected);

// CHECK: the entry of prevResult for CNI_IFNAME in CNI_NETNS. Throws if prevResult is missing or
// has none; `prefix` starts the message of a missing one ("vlan: ").
const Interface& expected_interface(const skel::Request& request, std::string_view prefix = {});

}  // namespace cni::delegate
