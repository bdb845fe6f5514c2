#include "plugins/meta/sbr/sbr.hpp"

#include "pkg/attachment/interface.hpp"
#include "pkg/netlink/rule.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/os/lock.hpp"
#include "pkg/types/error.hpp"
#include "plugins/meta/sbr/check.hpp"
#include "plugins/meta/sbr/config.hpp"
#include "plugins/meta/sbr/routing.hpp"
#include "plugins/meta/sbr/source.hpp"

namespace cni::sbr {
namespace {

std::vector<Source> find_sources(const skel::Request& request, const Result& result,
                                 const Config& config) {
  std::vector<Source> out = sources_of(result, request.ifname, config);
  if (!out.empty()) return out;
  throw Error(Code::kInvalidNetworkConfig,
              cat("No IP addresses supplied on interface: ", request.ifname),
              "sbr stands behind a plugin that gives the interface addresses");
}

Result add(const skel::Request& request, os::Undo& undo) {
  const Config config = parse(request);
  const Result* result = request.config.prev_result();
  if (result == nullptr) {
    throw Error(Code::kInvalidNetworkConfig,
                "This plugin must be called as chained plugin: prevResult is missing");
  }
  const std::vector<Source> sources = find_sources(request, *result, config);
  const ns::Netns netns = ns::Netns::open(request.netns);
  netlink::Socket socket = netlink::Socket::open_in(netns);
  const netlink::Link link = netlink::get_link(socket, request.ifname);
  for (const Source& source : sources) {
    netlink::require_rules(socket, source.address.address.family());
  }
  const Container container{netns, socket, link};
  // The lock that the reference takes too, on the namespace itself: no other ADD chooses a table.
  const os::DescriptorLock lock(netns.fd(), cat("the network namespace ", netns.path()));
  if (config.table) {
    add_rules(container, sources, *config.table, undo);
  } else {
    move_routes(container, sources, config.add_source_hints, undo);
  }
  return *result;
}

void del(const skel::Request& request) {
  const auto netns = ns::Netns::find(request.netns);
  if (!netns) return;  // rules and routes are gone with it
  netlink::Socket socket = netlink::Socket::open_in(*netns);
  Removal removal;
  removal.link = netlink::find_link(socket, request.ifname);
  removal.table = readable_table(request);
  if (const Result* result = request.config.prev_result()) {
    for (const Source& source : sources_of(*result, request.ifname, {})) {
      removal.addresses.push_back(source.address.address);
    }
  }
  remove_rules(socket, removal);
}

void check(const skel::Request& request) {
  const Config config = parse(request);
  const Result* result = request.config.prev_result();
  if (result == nullptr) {
    throw Error(Code::kInvalidNetworkConfig, "Required prevResult missing");
  }
  const std::vector<Source> sources = find_sources(request, *result, config);
  netlink::Socket socket = netlink::Socket::open_in(ns::Netns::open(request.netns));
  const auto link = netlink::find_link(socket, request.ifname);
  if (!link) {
    throw Error(Code::kCheckFailed,
                cat("Container Interface name in prevResult: ", request.ifname, " not found"));
  }
  check_routing(socket, *link, *result, sources, config);
}

void status(const skel::Request& request) {
  const Config config = parse(request);
  attachment::require_available([&] {
    netlink::Socket host = netlink::Socket::open();
    netlink::require_rules(host, Family::kIpv4);
    if (config.gateway_ipv6) netlink::require_rules(host, Family::kIpv6);
  });
}

}  // namespace

// GC is not needed: everything that ADD makes is in the container's namespace and ends with it.
const skel::Plugin plugin{.name = "sbr",
                          .add = add,
                          .del = del,
                          .check = check,
                          .status = status,
                          .description = &kDescription};

}  // namespace cni::sbr
