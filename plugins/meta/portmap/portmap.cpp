#include "plugins/meta/portmap/portmap.hpp"

#include <array>
#include <optional>

#include "pkg/netfilter/port_map.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/error.hpp"
#include "plugins/meta/portmap/config.hpp"

namespace cni::portmap {
namespace {

using netfilter::PortMapSpec;

std::string search_path(const skel::Request& request) {
  return skel::environment_value(request.environment, "PATH");
}

// Whether an address is of the interface: the plugin before this one says so, or nothing about it.
bool is_of_interface(const IpConfig& ip, const Result& result, std::string_view ifname) {
  if (!ip.interface || *ip.interface < 0) return true;
  const auto index = static_cast<std::size_t>(*ip.interface);
  if (index >= result.interfaces.size()) return true;
  const Interface& interface = result.interfaces[index];
  return interface.name == ifname && !interface.sandbox.empty();
}

// The first address of each family.
std::vector<Prefix> targets_of(const skel::Request& request, const Result& result) {
  std::vector<Prefix> out;
  for (const IpConfig& ip : result.ips) {
    if (!is_of_interface(ip, result, request.ifname)) continue;
    const Family family = ip.address.address.family();
    if (out.size() == 1 && out[0].address.family() == family) continue;
    out.push_back(ip.address);
    if (out.size() == 2) break;
  }
  return out;
}

// The host's end of the container's link: the last interface of the host that stands before the
// container's, as main plugins list them.
netlink::LinkIndex host_link_of(const Result& result) {
  std::string_view name;
  for (const Interface& interface : result.interfaces) {
    if (!interface.sandbox.empty()) break;
    name = interface.name;
  }
  if (name.empty()) return netlink::LinkIndex::kNone;
  netlink::Socket host = netlink::Socket::open();
  const auto link = netlink::find_link(host, name);
  return link ? link->index : netlink::LinkIndex::kNone;
}

PortMapSpec attachment_of(const skel::Request& request) {
  PortMapSpec spec;
  spec.owner = {.network = request.config.name,
                .container_id = request.container_id,
                .ifname = request.ifname};
  spec.search_path = search_path(request);
  if (const Result* result = request.config.prev_result()) {
    spec.targets = targets_of(request, *result);
  }
  return spec;
}

PortMapSpec spec_of(const skel::Request& request, Config config) {
  PortMapSpec spec = attachment_of(request);
  spec.mappings = std::move(config.mappings);
  const Result* result = request.config.prev_result();
  if (result != nullptr && !spec.mappings.empty()) spec.host_link = host_link_of(*result);
  spec.backend = std::move(config.backend);
  spec.snat = config.snat;
  spec.masquerade_all = config.masquerade_all;
  spec.mark_bit = config.mark_bit;
  spec.external_mark_chain = std::move(config.external_mark_chain);
  spec.conditions_ipv4 = std::move(config.conditions_ipv4);
  spec.conditions_ipv6 = std::move(config.conditions_ipv6);
  return spec;
}

Result add(const skel::Request& request, os::Undo& undo) {
  Config config = parse(request);
  const Result* result = request.config.prev_result();
  if (result == nullptr) {
    throw Error(Code::kInvalidNetworkConfig,
                "must be called as chained plugin: prevResult is missing");
  }
  netfilter::add_port_map(spec_of(request, std::move(config)), undo);
  return *result;
}

void del(const skel::Request& request) {
  PortMapSpec spec = attachment_of(request);
  try {
    spec.mappings = parse(request).mappings;
  } catch (const Error&) {
    // What is published is found without them.
    spec.mappings.clear();
  }
  netfilter::remove_port_map(spec);
}

void check(const skel::Request& request) {
  Config config = parse(request);
  if (request.config.prev_result() == nullptr) {
    throw Error(Code::kInvalidNetworkConfig, "Required prevResult missing");
  }
  netfilter::check_port_map(spec_of(request, std::move(config)));
}

void reconcile(const skel::Request& request, skel::Restoration& restoration) {
  const PortMapSpec spec = spec_of(request, parse(request));
  restoration.ensure(
      "published ports", [&] { netfilter::check_port_map(spec); },
      [&](os::Undo& undo) { netfilter::add_port_map(spec, undo); });
  restoration.ensure(
      "guard of 127.0.0.1", [&] { netfilter::check_localhost_guard(spec); },
      [&](os::Undo& /*unused*/) { netfilter::add_localhost_guard(spec); });
}

void status(const skel::Request& request) {
  netfilter::probe_port_map(parse(request).backend, search_path(request));
}

void gc(const skel::Request& request) {
  netfilter::gc_port_map(request.config.name, request.config.valid_attachments,
                         search_path(request));
}

// What can change of a running container: everything but the backend.
constexpr std::array<std::string_view, 7> kLiveKeys = {
    "runtimeConfig.portMappings", "snat",         "masqAll",     "markMasqBit",
    "externalSetMarkChain",       "conditionsV4", "conditionsV6"};

void validate_update(const skel::Request& now) { (void)parse(now); }

Result update(const skel::Request& was, const skel::Request& now, os::Undo& undo) {
  netfilter::replace_port_map(spec_of(was, parse(was)), spec_of(now, parse(now)), undo);
  return *now.config.prev_result();
}

constexpr skel::LiveUpdate kUpdate{.keys = kLiveKeys, .validate = validate_update, .apply = update};

}  // namespace

const skel::Plugin plugin{.name = "portmap",
                          .add = add,
                          .del = del,
                          .check = check,
                          .status = status,
                          .gc = gc,
                          .reconcile = reconcile,
                          .update = &kUpdate,
                          .description = &kDescription};

}  // namespace cni::portmap
