#include "plugins/meta/bandwidth/place.hpp"

#include <cerrno>

#include "pkg/netlink/container_veth.hpp"
#include "pkg/netlink/netns_id.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/types/error.hpp"

namespace cni::bandwidth {
namespace {

// The end of the container's veth pair in our namespace, if it is there.
std::optional<netlink::Link> find_host_end(netlink::Socket& container, const netlink::Link& link,
                                           netlink::Socket& host) {
  if (link.kind != "veth" || !link.parent_netns_id) return std::nullopt;
  const auto host_id = netlink::find_netns_id(container, ns::Netns::current());
  if (host_id != link.parent_netns_id) return std::nullopt;
  auto end = netlink::find_link(host, link.parent);
  if (end && end->kind == "veth") return end;
  return std::nullopt;
}

std::optional<Place> find_by_container(const skel::Request& request) {
  const auto netns = ns::Netns::find(request.netns);
  if (!netns) return std::nullopt;
  netlink::Socket container = netlink::Socket::open_in(*netns);
  auto link = netlink::find_link(container, request.ifname);
  if (!link) return std::nullopt;
  netlink::Socket host = netlink::Socket::open();
  if (auto end = find_host_end(container, *link, host)) {
    return Place{std::move(host), *std::move(end), {}};
  }
  return Place{std::move(container), *std::move(link), request.netns};
}

// The host's end of the pair as the result of the chain has it, or as our own plugins name it.
std::optional<netlink::Link> find_by_name(const skel::Request& request, netlink::Socket& host) {
  if (const Result* result = request.config.prev_result()) {
    for (const Interface& interface : result->interfaces) {
      if (!interface.sandbox.empty()) continue;
      try {
        auto link = netlink::find_link(host, interface.name);
        if (link && link->kind == "veth") return link;
      } catch (const Error& error) {
        // No name of an interface.
        if (error.code != Code::kInvalidNetworkConfig) throw;
      }
    }
  }
  return netlink::find_host_veth(host, {.network = request.config.name,
                                        .container_id = request.container_id,
                                        .ifname = request.ifname});
}

}  // namespace

std::optional<netlink::Socket> open_place(const std::string& netns_path) {
  if (netns_path.empty()) return netlink::Socket::open();
  const auto netns = ns::Netns::find(netns_path);
  if (!netns) return std::nullopt;
  return netlink::Socket::open_in(*netns);
}

void explain_taken(const netlink::Link& link, const std::function<void()>& fn) {
  try {
    fn();
  } catch (Error& error) {
    if (error.sys_errno == EEXIST) {
      error.code = Code::kConflict;
      error.add_detail(cat(link.name, " has a queueing discipline already; `tc qdisc show dev ",
                           link.name, "` shows it"));
    }
    throw;
  }
}

Place get_place(const skel::Request& request) {
  (void)ns::Netns::open(request.netns);
  auto place = find_by_container(request);
  if (place) return *std::move(place);
  throw Error(Code::kInvalidNetworkConfig,
              cat("the container has no interface ", quote(request.ifname),
                  ": bandwidth stands behind the plugin that makes it"));
}

std::optional<Place> find_place(const skel::Request& request) {
  if (auto place = find_by_container(request)) return place;
  netlink::Socket host = netlink::Socket::open();
  auto link = find_by_name(request, host);
  if (!link) return std::nullopt;
  return Place{std::move(host), *std::move(link), {}};
}

}  // namespace cni::bandwidth
