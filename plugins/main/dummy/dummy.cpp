#include "plugins/main/dummy/dummy.hpp"

#include <cerrno>

#include "pkg/attachment/interface.hpp"
#include "pkg/attachment/live_routes.hpp"
#include "pkg/delegate/delegate.hpp"
#include "pkg/delegate/ipam.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/new_link.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/types/error.hpp"

namespace cni::dummy {
namespace {

void require_ipam(const skel::Request& request) {
  if (!request.config.ipam_type.empty()) return;
  throw Error(Code::kInvalidNetworkConfig, "dummy interface requires an IPAM configuration",
              "set ipam.type");
}

netlink::Link add_link(const skel::Request& request, netlink::Socket& container, os::Undo& undo) {
  try {
    netlink::add_dummy(container, {.name = request.ifname});
  } catch (Error& error) {
    if (error.sys_errno == EEXIST) {
      error.add_detail("the container has an interface of that name; choose another CNI_IFNAME");
    }
    error.prepend("failed to create dummy");
    throw;
  }
  attachment::push_link_removal(request, undo);
  return netlink::get_link(container, request.ifname);
}

Result add(const skel::Request& request, os::Undo& undo) {
  require_ipam(request);
  const ns::Netns netns = ns::Netns::open(request.netns);
  netlink::Socket container = netlink::Socket::open_in(netns);
  delegate::IpamAddition ipam(request);

  const netlink::Link link = add_link(request, container, undo);
  ipam.begin(undo);
  Result result = attachment::describe_link(request, link);
  attachment::take_assigned(ipam.finish(), 0, result);
  // It has no neighbours: nobody can have the addresses, and nobody is to be told of them.
  delegate::configure_interface(netns, container, link, result, {.dad = netlink::Dad::kSkip});
  if (request.config.dns) result.dns = *request.config.dns;
  return result;
}

void check(const skel::Request& request) {
  require_ipam(request);
  const Interface& expected = delegate::expected_interface(request, "dummy: ");
  const Result& result = *request.config.prev_result();
  delegate::ipam_check(request);

  netlink::Socket container = netlink::Socket::open_in(ns::Netns::open(request.netns));
  const netlink::Link link = attachment::check_link(container, expected, "dummy");
  if (!link.is_up()) {
    throw Error(Code::kCheckFailed, cat("Interface ", link.name, " is down"));
  }
  delegate::check_addresses(container, link, result);
  delegate::check_routes(container, link, result);
}

void status(const skel::Request& request) {
  delegate::check_type(request.config.ipam_type);
  netlink::Socket host = netlink::Socket::open();
  attachment::require_link_kinds(host, {"dummy"});
  delegate::ipam_status(request);
}

constinit const schema::Description kDescription{
    .about = "Gives a container an interface that leads nowhere, to hold addresses.",
    .ipam = schema::IpamUse::kRequired};

}  // namespace

const skel::Plugin plugin{.name = "dummy",
                          .add = add,
                          .del = attachment::remove_link_and_addresses,
                          .check = check,
                          .status = status,
                          .gc = delegate::ipam_gc,
                          .update = &attachment::kRouteUpdate,
                          .description = &kDescription};

}  // namespace cni::dummy
