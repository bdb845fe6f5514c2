#include "plugins/main/macvlan/macvlan.hpp"

#include <cerrno>
#include <optional>

#include "pkg/attachment/interface.hpp"
#include "pkg/delegate/ipam.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/neigh.hpp"
#include "pkg/netlink/route.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/types/error.hpp"
#include "plugins/main/macvlan/config.hpp"

namespace cni::macvlan {
namespace {

netlink::Link find_master(netlink::Socket& socket, const Config& config) {
  if (config.master.empty()) {
    const auto index = netlink::find_default_route_link(socket);
    if (!index) {
      throw Error(Code::kInvalidNetworkConfig, "no default route interface found",
                  "set master to the name of a link");
    }
    return netlink::get_link(socket, *index);
  }
  const auto master = netlink::find_link(socket, config.master);
  if (master) return *master;
  throw Error(
      Code::kInvalidNetworkConfig,
      cat("failed to lookup master ", quote(config.master), ": no such device"),
      config.link_in_container ? "looked for in the container, as linkInContainer is true" : "");
}

void check_mtu(const Config& config, const netlink::Link& master) {
  if (config.mtu <= master.mtu) return;
  throw Error(Code::kInvalidNetworkConfig,
              cat("invalid MTU ", config.mtu, ", must be [0, master MTU(", master.mtu, ")]"));
}

// What keeps a link busy for macvlan: the kernel only says EBUSY.
std::string holder_of(netlink::Socket& socket, const netlink::Link& master) {
  if (master.master != netlink::LinkIndex::kNone) {
    const auto upper = netlink::find_link(socket, master.master);
    if (upper) return cat(master.name, " is a port of ", upper->kind, " ", upper->name);
  }
  const auto child = netlink::find_link_if(socket, [&](const netlink::Link& link) {
    return link.parent == master.index && !link.parent_elsewhere &&
           (link.kind == "ipvlan" || link.kind == "macvlan");
  });
  if (child) return cat(master.name, " is used by ", child->kind, " ", child->name);
  return cat(master.name, " is used by another macvlan or ipvlan, perhaps of another namespace");
}

void create(netlink::Socket& socket, const netlink::MacvlanSpec& spec,
            const netlink::Link& master) {
  try {
    netlink::add_macvlan(socket, spec);
  } catch (Error& error) {
    if (error.sys_errno == EBUSY) error.add_detail(holder_of(socket, master));
    if (error.sys_errno == EEXIST) {
      error.add_detail("the container has an interface of that name; choose another CNI_IFNAME");
    }
    error.prepend("failed to create macvlan");
    throw;
  }
}

netlink::Link add_link(const skel::Request& request, const Config& config, const ns::Netns& netns,
                       netlink::Socket& host, netlink::Socket& container, os::Undo& undo) {
  netlink::Socket& where = config.link_in_container ? container : host;
  const netlink::Link master = find_master(where, config);
  check_mtu(config, master);
  create(where,
         {.name = request.ifname,
          .parent = master.index,
          .mode = config.mode,
          .mtu = config.mtu,
          .mac = config.mac,
          .bc_queue_len = config.bc_queue_len,
          .netns_fd = config.link_in_container ? -1 : netns.fd()},
         master);
  attachment::push_link_removal(request, undo);
  return netlink::get_link(container, request.ifname);
}

void configure_layer3(const ns::Netns& netns, netlink::Socket& container, const netlink::Link& link,
                      delegate::IpamAddition& ipam, Result& result) {
  attachment::take_assigned(ipam.finish(), 0, result);
  // Others on the wire may have the address, so its detection runs as the kernel has it.
  delegate::configure_interface(netns, container, link, result,
                                {.dad = netlink::Dad::kKernelDefault, .notify_neighbours = true});
}

Result add(const skel::Request& request, os::Undo& undo) {
  const Config config = parse(request);
  const ns::Netns netns = ns::Netns::open(request.netns);
  netlink::Socket host = netlink::Socket::open();
  netlink::Socket container = netlink::Socket::open_in(netns);
  std::optional<delegate::IpamAddition> ipam;
  if (!request.config.ipam_type.empty()) ipam.emplace(request);

  const netlink::Link link = add_link(request, config, netns, host, container, undo);
  if (ipam) ipam->begin(undo);
  Result result;
  result.interfaces = {{.name = link.name, .mac = link.mac.to_string(), .sandbox = request.netns}};
  if (!ipam) {
    netlink::set_up(container, link.index);
  } else {
    configure_layer3(netns, container, link, *ipam, result);
    (void)netlink::announce_addresses(container, link);
  }
  if (request.config.dns) result.dns = *request.config.dns;
  return result;
}

void del(const skel::Request& request) {
  ErrorList errors;
  // Without the namespace there is nothing to do: the kernel deletes a macvlan with it.
  errors.run([&] { (void)attachment::remove_link(request); });
  errors.run([&] { delegate::ipam_del(request); });
  errors.throw_if_any();
}

netlink::Link check_link(netlink::Socket& container, const Config& config,
                         const Interface& expected) {
  netlink::Link link = attachment::check_link(container, expected, "macvlan");
  if (link.macvlan_mode != config.mode) {
    throw Error(Code::kCheckFailed,
                cat("container macvlan mode ",
                    to_string(link.macvlan_mode.value_or(netlink::MacvlanMode::kBridge)),
                    " does not match expected value: ", to_string(config.mode)));
  }
  return link;
}

void check(const skel::Request& request) {
  const Config config = parse(request);
  const Interface& expected = delegate::expected_interface(request);
  const Result& result = *request.config.prev_result();
  delegate::ipam_check(request);

  netlink::Socket host = netlink::Socket::open();
  netlink::Socket container = netlink::Socket::open_in(ns::Netns::open(request.netns));
  const netlink::Link master = find_master(config.link_in_container ? container : host, config);
  check_mtu(config, master);
  const netlink::Link link = check_link(container, config, expected);
  if (link.parent != master.index) {
    throw Error(Code::kCheckFailed,
                cat("master of ", link.name, " is not ", master.name, " any more"));
  }
  delegate::check_addresses(container, link, result);
  delegate::check_routes(container, link, result);
}

void status(const skel::Request& request) {
  const Config config = parse(request);
  netlink::Socket host = netlink::Socket::open();
  if (!netlink::kernel_has_link_kind(host, "macvlan")) {
    throw Error(Code::kPluginNotAvailable, "the kernel has no macvlan support (CONFIG_MACVLAN)");
  }
  // A master inside the container is known only at ADD.
  if (!config.link_in_container) {
    try {
      check_mtu(config, find_master(host, config));
    } catch (Error& error) {
      error.code = Code::kPluginNotAvailable;
      throw;
    }
  }
  delegate::ipam_status(request);
}

void gc(const skel::Request& request) { delegate::ipam_gc(request); }

}  // namespace

const skel::Plugin plugin{.name = "macvlan",
                          .add = add,
                          .del = del,
                          .check = check,
                          .status = status,
                          .gc = gc,
                          .description = &kDescription};

}  // namespace cni::macvlan
