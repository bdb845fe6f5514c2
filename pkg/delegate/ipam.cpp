#include "pkg/delegate/ipam.hpp"

#include <linux/if.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>

#include "pkg/netlink/route.hpp"
#include "pkg/netlink/route_copy.hpp"
#include "pkg/os/sysctl.hpp"
#include "pkg/skel/update.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/json.hpp"

namespace cni::delegate {
namespace {

constexpr std::chrono::seconds kDadDeadline{5};  // a probe takes one to two seconds

bool has_ipv6(const Result& result) {
  return std::any_of(result.ips.begin(), result.ips.end(),
                     [](const IpConfig& ip) { return !ip.address.address.is_ipv4(); });
}

bool has_ipv6_gateway(const Result& result) {
  return std::any_of(result.ips.begin(), result.ips.end(), [](const IpConfig& ip) {
    return !ip.address.address.is_ipv4() && ip.gateway;
  });
}

// Runs inside the container's namespace.
void write_sysctls(const std::string& ifname, bool ipv6, const InterfaceSetup& setup) {
  using AcceptDad = InterfaceSetup::AcceptDad;
  if (setup.accept_dad == AcceptDad::kOn) {
    os::try_write_sysctl({"net", "ipv6", "conf", ifname, "enhanced_dad"}, "1");
  }
  if (setup.accept_dad != AcceptDad::kUnchanged) {
    os::try_write_sysctl({"net", "ipv6", "conf", ifname, "accept_dad"},
                         setup.accept_dad == AcceptDad::kOn ? "1" : "0");
  }
  if (setup.notify_neighbours) {
    os::try_write_sysctl({"net", "ipv4", "conf", ifname, "arp_notify"}, "1");
    if (ipv6) os::try_write_sysctl({"net", "ipv6", "conf", ifname, "ndisc_notify"}, "1");
  }
  if (!ipv6) return;
  // Container runtimes switch IPv6 off by default in new namespaces.
  for (const std::string_view name : {std::string_view("lo"), std::string_view(ifname)}) {
    if (os::read_sysctl({"net", "ipv6", "conf", name, "disable_ipv6"})) {
      os::write_sysctl({"net", "ipv6", "conf", name, "disable_ipv6"}, "0");
    }
  }
  os::write_sysctl({"net", "ipv6", "conf", ifname, "keep_addr_on_down"}, "1");
}

// The addresses that belong to the link.
std::vector<Prefix> addresses_for(const netlink::Link& link, const Result& result) {
  std::vector<Prefix> out;
  for (const IpConfig& ip : result.ips) {
    if (!ip.interface) continue;
    const auto index = static_cast<std::size_t>(*ip.interface);
    const bool ours =
        index < result.interfaces.size() && result.interfaces[index].name == link.name;
    if (!ours) {
      throw Error(Code::kInvalidNetworkConfig,
                  cat("failed to add IP addr ", ip.address.to_string(), " to ", quote(link.name),
                      ": invalid interface index ", *ip.interface));
    }
    out.push_back(ip.address);
  }
  return out;
}

std::optional<Ip> default_gateway(const Result& result, Family family) {
  for (const IpConfig& ip : result.ips) {
    if (ip.gateway && ip.gateway->family() == family) return ip.gateway;
  }
  return std::nullopt;
}

netlink::Route kernel_route(const netlink::Link& link, const Result& result, const Route& route) {
  netlink::Route out;
  out.destination = route.destination;
  out.gateway =
      route.gateway ? route.gateway : default_gateway(result, route.destination.address.family());
  out.link = link.index;
  if (route.table) out.table = netlink::TableId{static_cast<std::uint32_t>(*route.table)};
  out.scope = route.scope;
  // A route whose scope says that it is on the link does not take a gateway that nobody gave it.
  if (route.scope == netlink::kScopeLink && !route.gateway) out.gateway.reset();
  out.priority = route.priority;
  out.mtu = route.mtu;
  out.advmss = route.advmss;
  return out;
}

Error route_failed(const netlink::Link& link, const Route& route, const netlink::Route& wanted,
                   Error error) {
  error.msg = cat("failed to add route '", route.destination.to_string(), " via ",
                  wanted.gateway ? wanted.gateway->to_string() : "<nil>", " dev ", link.name,
                  " metric ", route.priority, " (Scope: ", wanted.scope.value_or(0),
                  ", Table: ", static_cast<std::uint32_t>(wanted.table),
                  ")': ", errno_text(error.sys_errno));
  return error;
}

// The same route twice in one configuration is one route.
void add_once(netlink::Socket& container, const netlink::Route& route) {
  try {
    netlink::add_route(container, route);
  } catch (const Error& error) {
    if (error.sys_errno != EEXIST) throw;
  }
}

void add_routes(netlink::Socket& container, const netlink::Link& link, const Result& result) {
  for (const Route& route : result.routes) {
    const netlink::Route wanted = kernel_route(link, result, route);
    try {
      add_once(container, wanted);
    } catch (const Error& error) {
      throw route_failed(link, route, wanted, error);
    }
  }
}

bool is_unreachable(const Error& error) {
  return error.sys_errno == ENETUNREACH || error.sys_errno == EHOSTUNREACH;
}

// To an interface that is configured already. ptp takes the route to the subnet away once it has
// added the others, so that by now a gateway may not be reached by any other route.
void add_late(netlink::Socket& container, const netlink::Link& link, const Result& result,
              const Route& route) {
  netlink::Route wanted = kernel_route(link, result, route);
  try {
    add_once(container, wanted);
  } catch (const Error& error) {
    if (!is_unreachable(error) || !wanted.gateway) throw route_failed(link, route, wanted, error);
    wanted.gateway_on_link = true;
    try {
      add_once(container, wanted);
    } catch (const Error&) {
      throw route_failed(link, route, wanted, error);
    }
  }
}

void settle_addresses(const ns::Netns& netns, netlink::Socket& container,
                      const netlink::Link& link) {
  // Without a carrier nothing can be detected, and waiting would not bring it.
  const auto now = netlink::find_link(container, link.index);
  if (!now || (now->flags & IFF_LOWER_UP) == 0) return;
  if (netlink::wait_for_dad(container, netns, link.index, kDadDeadline)) return;
  const auto later = netlink::find_link(container, link.index);
  if (!later || later->state != netlink::OperState::kUp) return;
  throw Error(Code::kTryAgainLater, cat("duplicate address detection on ", quote(link.name),
                                        " did not end within ", kDadDeadline.count(), " seconds"));
}

}  // namespace

IpamAddition::IpamAddition(const skel::Request& request)
    : request_(request), delegate_(request, request.config.ipam_type, skel::Command::kAdd) {}

void IpamAddition::begin(os::Undo& undo) {
  undo.push(cat("release the addresses of ", request_.config.ipam_type),
            [request = request_] { ipam_del(request); });
  delegate_.begin();
}

Result IpamAddition::finish() {
  Result result = delegate_.finish_add();
  if (result.ips.empty()) {
    throw Error(Code::kInvalidNetworkConfig, "IPAM plugin returned missing IP config",
                cat("ipam.type is ", quote(request_.config.ipam_type)));
  }
  return result;
}

void ipam_del(const skel::Request& request) {
  if (request.config.ipam_type.empty()) return;
  (void)run(request, request.config.ipam_type, skel::Command::kDel);
}

void ipam_del_with_link(const skel::Request& request, ErrorList& errors,
                        const std::function<void()>& remove_link) {
  const bool needs_link = request.config.ipam_type == "dhcp";
  if (needs_link) errors.run([&] { ipam_del(request); });
  errors.run(remove_link);
  if (!needs_link) errors.run([&] { ipam_del(request); });
}

void ipam_check(const skel::Request& request) {
  if (request.config.ipam_type.empty()) return;
  (void)run(request, request.config.ipam_type, skel::Command::kCheck);
}

void ipam_status(const skel::Request& request) {
  if (request.config.ipam_type.empty()) return;
  (void)run(request, request.config.ipam_type, skel::Command::kStatus);
}

void ipam_gc(const skel::Request& request) {
  if (request.config.ipam_type.empty()) return;
  (void)run(request, request.config.ipam_type, skel::Command::kGc);
}

std::optional<Result> ipam_update(const skel::Request& request) {
  const std::string& type = request.config.ipam_type;
  if (type.empty()) return std::nullopt;
  std::string answer;
  try {
    answer = run(request, type, skel::Command::kUpdate);
  } catch (Error& error) {
    if (error.code != Code::kInvalidEnvironment) throw;
    throw Error(Code::kCannotUpdate,
                cat("the ipam section of a running attachment cannot change: ", type,
                    " does not know UPDATE"),
                error.what());
  }
  const skel::Updated updated = skel::update_from_json(answer);
  if (!updated.result) return std::nullopt;
  return context(cat("result of plugin ", type),
                 [&] { return read_result(Reader(*updated.result), request.config.cni_version); });
}

void configure_interface(const ns::Netns& netns, netlink::Socket& container,
                         const netlink::Link& link, const Result& result,
                         const InterfaceSetup& setup) {
  if (result.interfaces.empty()) {
    throw Error(Code::kInvalidNetworkConfig, "no interfaces to configure");
  }
  const std::vector<Prefix> addresses = addresses_for(link, result);
  netns.run([&] { write_sysctls(link.name, has_ipv6(result), setup); });
  for (const Prefix& address : addresses) {
    context("failed to add IP addr",
            [&] { netlink::add_address(container, link.index, address, setup.dad); });
  }
  netlink::set_up(container, link.index);
  if (setup.dad == netlink::Dad::kKernelDefault && has_ipv6_gateway(result)) {
    settle_addresses(netns, container, link);
  }
  add_routes(container, link, result);
}

void change_routes(netlink::Socket& container, const netlink::Link& link, const Result& was,
                   const Result& now) {
  const auto missing_in = [](const std::vector<Route>& from, const std::vector<Route>& other) {
    std::vector<Route> out;
    std::copy_if(from.begin(), from.end(), std::back_inserter(out), [&](const Route& route) {
      return std::find(other.begin(), other.end(), route) == other.end();
    });
    return out;
  };
  for (const Route& route : missing_in(was.routes, now.routes)) {
    (void)netlink::remove_route(container, kernel_route(link, was, route));
  }
  for (const Route& route : missing_in(now.routes, was.routes)) {
    add_late(container, link, now, route);
  }
}

void check_addresses(netlink::Socket& container, const netlink::Link& link,
                     const Result& expected) {
  const std::vector<netlink::Address> present = netlink::list_addresses(container, link.index);
  for (const IpConfig& ip : expected.ips) {
    const bool elsewhere =
        ip.interface && static_cast<std::size_t>(*ip.interface) < expected.interfaces.size() &&
        expected.interfaces[static_cast<std::size_t>(*ip.interface)].name != link.name;
    if (elsewhere) continue;
    const bool found =
        std::any_of(present.begin(), present.end(),
                    [&](const netlink::Address& address) { return address.prefix == ip.address; });
    if (found) continue;
    throw Error(Code::kCheckFailed,
                cat("Failed to match addr ", ip.address.to_string(), " on interface ", link.name));
  }
}

void check_routes(netlink::Socket& container, const netlink::Link& link, const Result& expected) {
  std::vector<netlink::KernelRoute> present;
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    const bool wanted = std::any_of(
        expected.routes.begin(), expected.routes.end(),
        [&](const Route& route) { return route.destination.address.family() == family; });
    if (!wanted) continue;
    const netlink::RouteFilter filter{.family = family, .link = link.index};
    for (auto& found : netlink::list_kernel_routes(container, filter)) {
      if (found.type == RTN_UNICAST) present.push_back(std::move(found));
    }
  }
  for (const Route& route : expected.routes) {
    const bool found =
        std::any_of(present.begin(), present.end(), [&](const netlink::KernelRoute& other) {
          // IPv6 routes over two interfaces are one of two next hops.
          // 0.0.0.0 is how dhcp says that there is none.
          const bool same_gateway = !route.gateway || route.gateway->is_unspecified() ||
                                    route.destination.is_default() || other.links.size() > 1 ||
                                    other.route.gateway == route.gateway;
          return other.route.destination == route.destination.network() && same_gateway;
        });
    if (found) continue;
    throw Error(Code::kCheckFailed,
                cat("Expected Route ", route.destination.to_string(),
                    route.gateway ? cat(" via ", route.gateway->to_string()) : "",
                    " not found in routing table of ", link.name));
  }
}

const Interface& expected_interface(const skel::Request& request, std::string_view prefix) {
  const Result* prev_result = request.config.prev_result();
  if (prev_result == nullptr) {
    throw Error(Code::kInvalidNetworkConfig, cat(prefix, "Required prevResult missing"),
                "CHECK needs the result of ADD under the key prevResult");
  }
  std::string found_sandbox;
  for (const Interface& interface : prev_result->interfaces) {
    if (interface.name != request.ifname) continue;
    if (interface.sandbox == request.netns) return interface;
    found_sandbox = interface.sandbox;
  }
  throw Error(Code::kCheckFailed,
              cat("Sandbox in prevResult ", found_sandbox,
                  " doesn't match configured netns: ", request.netns),
              cat("prevResult has no interface ", request.ifname, " in that namespace"));
}

}  // namespace cni::delegate
