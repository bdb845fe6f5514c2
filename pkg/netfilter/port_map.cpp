#include "pkg/netfilter/port_map.hpp"

#include <algorithm>

#include "pkg/netfilter/backend.hpp"
#include "pkg/netfilter/conntrack.hpp"
#include "pkg/netfilter/iptables.hpp"
#include "pkg/netfilter/loopback_guard.hpp"
#include "pkg/netfilter/port_map_backends.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {

using netlink::Socket;

namespace {

constexpr std::array<Family, 2> kFamilies = {Family::kIpv4, Family::kIpv6};

// Those in which there is something to publish.
std::vector<Family> families_of(const PortMapSpec& spec) {
  std::vector<Family> out;
  for (const Family family : kFamilies) {
    if (target_of(spec, family) && !mappings_of(spec, family).empty()) out.push_back(family);
  }
  return out;
}

BackendChoice choice_of(const PortMapSpec& spec) {
  return {.backend = spec.backend, .families = families_of(spec), .search_path = spec.search_path};
}

// Whether connections from the host's loopback address to itself are to reach the container.
bool is_for_localhost(const PortMapping& mapping, const Ip& loopback) {
  const auto address = destination_of(mapping);
  if (address && !address->is_loopback()) return false;
  return mapping.sources.empty() ||
         std::any_of(mapping.sources.begin(), mapping.sources.end(),
                     [&](const Prefix& source) { return source.contains(loopback); });
}

// The container's address of the family if connections from there are to reach it.
std::optional<Ip> localhost_target(const PortMapSpec& spec, Family family) {
  const Ip loopback = *Ip::parse(family == Family::kIpv4 ? "127.0.0.1" : "::1");
  const auto target = target_of(spec, family);
  const std::vector<PortMapping> mappings = mappings_of(spec, family);
  const bool is_wanted = spec.snat && target &&
                         std::any_of(mappings.begin(), mappings.end(), [&](const PortMapping& one) {
                           return is_for_localhost(one, loopback);
                         });
  return is_wanted ? std::optional(target->address) : std::nullopt;
}

void check_localhost(const PortMapSpec& spec, Family family) {
  const auto target = localhost_target(spec, family);
  if (target) check_loopback_source(*target, spec.search_path);
}

std::string undo_name(const PortMapSpec& spec) {
  return cat("remove the published ports of ", spec.owner.to_string());
}

// What stands outside of the transaction.
void complete_nftables(const PortMapSpec& spec) {
  NftPortMap::add_conditions(spec);
  // Only here: the reference's iptables rules do not masquerade ::1.
  if (const auto target = localhost_target(spec, Family::kIpv6)) {
    allow_loopback_source(*target, spec.search_path);
  }
}

void add_nftables(const PortMapSpec& spec, Connection& connection, os::Undo& undo) {
  NftPortMap::add(connection.get(), spec);
  undo.push(undo_name(spec), [spec] {
    Connection own;
    (void)NftPortMap::remove(own.get(), spec);  // nobody had connections there yet
  });
  complete_nftables(spec);
}

void remove_iptables(const PortMapSpec& spec) {
  Connection connection;
  (void)IptablesPortMap::remove(connection.find(), spec);  // as above
}

void add_iptables(const PortMapSpec& spec, Connection& connection, os::Undo& undo) {
  for (const Family family : families_of(spec)) {
    IptablesPortMap::add(Iptables(family, spec.search_path), connection, family, spec);
    undo.push(undo_name(spec), [spec] { remove_iptables(spec); });
  }
}

void append_udp(const PortMapSpec& spec, Family family, std::vector<UdpDestination>& out) {
  for (const PortMapping& mapping : mappings_of(spec, family)) {
    if (mapping.transport != Transport::kUdp) continue;
    out.push_back(
        {.family = family, .port = mapping.host_port, .address = destination_of(mapping)});
  }
}

// Lets flows that are under way meet the rules anew. The rules stand either way, and a flow ends by
// itself at the latest when its client pauses: no reason to fail.
void forget_flows(Connection& connection, const std::vector<UdpDestination>& destinations) {
  if (destinations.empty()) return;
  try {
    if (Socket* socket = connection.find()) forget_udp_connections(*socket, destinations);
  } catch (const Error&) {
    return;
  }
}

void validate_backend(std::string_view backend) {
  if (is_backend(backend)) return;
  throw Error(Code::kInvalidNetworkConfig, cat("unrecognized backend ", quote(backend),
                                               " (backend is one of \"iptables\", \"nftables\")"));
}

}  // namespace

std::string_view to_string(Transport transport) {
  switch (transport) {
    case Transport::kTcp:
      return "tcp";
    case Transport::kUdp:
      return "udp";
    case Transport::kSctp:
      break;
  }
  return "sctp";
}

std::string PortMapping::to_string() const {
  const std::string_view name = netfilter::to_string(transport);
  if (!host_ip) return cat(name, ' ', std::to_string(host_port));
  const std::string address = host_ip->to_string();
  return host_ip->is_ipv4() ? cat(name, ' ', address, ':', std::to_string(host_port))
                            : cat(name, " [", address, "]:", std::to_string(host_port));
}

std::optional<Ip> destination_of(const PortMapping& mapping) {
  if (!mapping.host_ip || mapping.host_ip->is_unspecified()) return std::nullopt;
  return mapping.host_ip;
}

std::vector<PortMapping> mappings_of(const PortMapSpec& spec, Family family) {
  std::vector<PortMapping> out;
  for (const PortMapping& mapping : spec.mappings) {
    if (!mapping.host_ip || mapping.host_ip->family() == family) out.push_back(mapping);
  }
  return out;
}

std::optional<Prefix> target_of(const PortMapSpec& spec, Family family) {
  const auto found =
      std::find_if(spec.targets.begin(), spec.targets.end(),
                   [&](const Prefix& each) { return each.address.family() == family; });
  return found == spec.targets.end() ? std::nullopt : std::optional(*found);
}

void add_port_map(const PortMapSpec& spec, os::Undo& undo) {
  validate_backend(spec.backend);
  if (families_of(spec).empty()) return;
  Connection connection;
  with_backend(choice_of(spec), {.iptables = [&] { add_iptables(spec, connection, undo); },
                                 .take_back_iptables = [&] { remove_iptables(spec); },
                                 .nftables = [&] { add_nftables(spec, connection, undo); }});
  add_localhost_guard(spec);
  std::vector<UdpDestination> udp;
  for (const Family family : families_of(spec)) append_udp(spec, family, udp);
  forget_flows(connection, udp);
}

namespace {

// In the one backend that is chosen; what the attachment may have in the other goes.
void replace_in_backend(const PortMapSpec& was, const PortMapSpec& now, Connection& connection) {
  os::Undo unused;
  with_backend(choice_of(now), {.iptables =
                                    [&] {
                                      if (Socket* socket = connection.find()) {
                                        (void)NftPortMap::remove(*socket, was);
                                      }
                                      // ADD itself takes the place of what a family has.
                                      if (families_of(was) != families_of(now)) {
                                        remove_iptables(was);
                                      }
                                      add_iptables(now, connection, unused);
                                    },
                                .take_back_iptables = [&] { remove_iptables(now); },
                                .nftables =
                                    [&] {
                                      NftPortMap::replace(connection.get(), was, now);
                                      complete_nftables(now);
                                      remove_iptables(was);
                                    }});
  unused.commit();
}

std::vector<UdpDestination> udp_of(const PortMapSpec& spec) {
  std::vector<UdpDestination> out;
  for (const Family family : families_of(spec)) append_udp(spec, family, out);
  return out;
}

// Those of one side that the other does not have.
std::vector<UdpDestination> udp_that_differs(const PortMapSpec& was, const PortMapSpec& now) {
  const std::vector<UdpDestination> before = udp_of(was);
  const std::vector<UdpDestination> after = udp_of(now);
  std::vector<UdpDestination> out;
  const auto append = [&](const auto& from, const auto& other) {
    std::copy_if(from.begin(), from.end(), std::back_inserter(out), [&](const UdpDestination& one) {
      return std::find(other.begin(), other.end(), one) == other.end();
    });
  };
  append(before, after);
  append(after, before);
  return out;
}

void replace(const PortMapSpec& was, const PortMapSpec& now) {
  Connection connection;
  if (families_of(now).empty()) {
    remove_port_map(was, connection);
    return;
  }
  replace_in_backend(was, now, connection);
  add_localhost_guard(now);
  forget_flows(connection, udp_that_differs(was, now));
}

}  // namespace

void replace_port_map(const PortMapSpec& was, const PortMapSpec& now, os::Undo& undo) {
  validate_backend(now.backend);
  undo.push(cat("publish the ports of ", now.owner.to_string(), " as before"),
            [was, now] { replace(now, was); });
  replace(was, now);
}

void remove_port_map(const PortMapSpec& spec, Connection& connection) {
  Socket* socket = connection.find();
  std::vector<UdpDestination> udp;
  const auto note = [&](const RemovedPorts& ports) {
    udp.insert(udp.end(), ports.begin(), ports.end());
  };
  for (const Family family : kFamilies) append_udp(spec, family, udp);
  ErrorList errors;
  if (socket != nullptr) errors.run([&] { note(NftPortMap::remove(*socket, spec)); });
  errors.run([&] { note(IptablesPortMap::remove(socket, spec)); });
  forget_flows(connection, udp);
  errors.throw_if_any();
}

void remove_port_map(const PortMapSpec& spec) {
  Connection connection;
  remove_port_map(spec, connection);
}

void check_port_map(const PortMapSpec& spec) {
  validate_backend(spec.backend);
  const std::vector<Family> families = families_of(spec);
  if (families.empty()) return;
  bool is_ours = false;
  const auto check_iptables = [&] {
    for (const Family family : families) {
      IptablesPortMap::check(Iptables(family, spec.search_path), family, spec);
    }
  };
  check_backend(choice_of(spec), {.has_iptables =
                                      [&](Socket& socket) {
                                        return IptablesPortMap::has_chain(socket, families.front(),
                                                                          spec);
                                      },
                                  .iptables = check_iptables,
                                  .nftables =
                                      [&](Socket& socket) {
                                        is_ours = NftPortMap::check(socket, spec);
                                        if (is_ours) check_localhost(spec, Family::kIpv6);
                                      }});
  // The reference plugins put no guard up. Their rules of iptables are the same as ours: where
  // there is no guard, they are taken for theirs.
  if (is_ours || has_loopback_guard(spec.search_path)) check_localhost(spec, Family::kIpv4);
}

void check_localhost_guard(const PortMapSpec& spec) { check_localhost(spec, Family::kIpv4); }

void add_localhost_guard(const PortMapSpec& spec) {
  if (const auto target = localhost_target(spec, Family::kIpv4)) {
    allow_loopback_source(*target, spec.search_path);
  }
}

void gc_port_map(std::string_view network, std::span<const Attachment> valid,
                 std::string_view search_path) {
  Connection connection;
  Socket* socket = connection.find();
  std::vector<UdpDestination> udp;
  const auto note = [&](const RemovedPorts& ports) {
    udp.insert(udp.end(), ports.begin(), ports.end());
  };
  ErrorList errors;
  if (socket != nullptr) errors.run([&] { note(NftPortMap::gc(*socket, network, valid)); });
  errors.run([&] { note(IptablesPortMap::gc(socket, network, valid, search_path)); });
  forget_flows(connection, udp);
  errors.throw_if_any();
}

void probe_port_map(std::string_view backend, std::string_view search_path) {
  validate_backend(backend);
  probe_backend({.backend = std::string(backend),
                 .families = {Family::kIpv4},
                 .search_path = std::string(search_path)},
                "publishing ports");
}

}  // namespace cni::netfilter
