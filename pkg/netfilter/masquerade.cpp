#include "pkg/netfilter/masquerade.hpp"

#include "pkg/netfilter/iptables.hpp"
#include "pkg/netfilter/masquerade_backends.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {

using netlink::Socket;

namespace {

std::vector<Family> families_of(const MasqueradeSpec& spec) {
  std::vector<Family> out;
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    if (!addresses_of(spec, family).empty()) out.push_back(family);
  }
  return out;
}

BackendChoice choice_of(const MasqueradeSpec& spec) {
  return {.backend = spec.backend, .families = families_of(spec), .search_path = spec.search_path};
}

void add_nftables(const MasqueradeSpec& spec, os::Undo& undo) {
  Connection connection;
  NftMasquerading::add(connection.get(), spec);
  undo.push(cat("remove the masquerade of ", spec.container_id, ' ', spec.ifname), [spec] {
    Connection own;
    NftMasquerading::remove(own.get(), spec);
  });
}

// Removes what iptables has, over netlink and, for its older implementation, with its programs.
void remove_iptables(const MasqueradeSpec& spec) {
  Connection connection;
  IptablesMasquerading::remove(connection.find(), spec);
}

void add_iptables(const MasqueradeSpec& spec, os::Undo& undo) {
  for (const Family family : families_of(spec)) {
    IptablesMasquerading::add(Iptables(family, spec.search_path), family, spec);
    undo.push(cat("remove the masquerade of ", spec.container_id, ' ', spec.ifname),
              [spec] { remove_iptables(spec); });
  }
}

void check_iptables(const MasqueradeSpec& spec) {
  for (const Family family : families_of(spec)) {
    IptablesMasquerading::check(Iptables(family, spec.search_path), family, spec);
  }
}

}  // namespace

std::vector<Prefix> addresses_of(const MasqueradeSpec& spec, Family family) {
  std::vector<Prefix> out;
  for (const Prefix& address : spec.addresses) {
    if (address.address.family() == family) out.push_back(address);
  }
  return out;
}

void validate_masquerade_backend(std::string_view backend) {
  if (is_backend(backend)) return;
  throw Error(Code::kInvalidNetworkConfig,
              cat("unknown ipmasq backend ", quote(backend),
                  " (ipMasqBackend is one of \"iptables\", \"nftables\")"));
}

void add_masquerade(const MasqueradeSpec& spec, os::Undo& undo) {
  validate_masquerade_backend(spec.backend);
  if (spec.addresses.empty()) return;
  with_backend(choice_of(spec), {.iptables = [&] { add_iptables(spec, undo); },
                                 .take_back_iptables = [&] { remove_iptables(spec); },
                                 .nftables = [&] { add_nftables(spec, undo); }});
}

void remove_masquerade(const MasqueradeSpec& spec, Connection& connection) {
  Socket* socket = connection.find();
  ErrorList errors;
  if (socket != nullptr) errors.run([&] { NftMasquerading::remove(*socket, spec); });
  errors.run([&] { IptablesMasquerading::remove(socket, spec); });
  errors.throw_if_any();
}

void remove_masquerade(const MasqueradeSpec& spec) {
  Connection connection;
  remove_masquerade(spec, connection);
}

void check_masquerade(const MasqueradeSpec& spec) {
  validate_masquerade_backend(spec.backend);
  if (spec.addresses.empty()) return;
  const Family family = spec.addresses[0].address.family();
  check_backend(
      choice_of(spec),
      {.has_iptables =
           [&](Socket& socket) { return IptablesMasquerading::has_chain(socket, family, spec); },
       .iptables = [&] { check_iptables(spec); },
       .nftables = [&](Socket& socket) { NftMasquerading::check(socket, spec); }});
}

void gc_masquerade(std::string_view network, std::span<const Attachment> valid,
                   std::string_view search_path) {
  Connection connection;
  Socket* socket = connection.find();
  ErrorList errors;
  if (socket != nullptr) errors.run([&] { NftMasquerading::gc(*socket, network, valid); });
  errors.run(
      [&] { IptablesMasquerading::gc(socket ? &*socket : nullptr, network, valid, search_path); });
  errors.throw_if_any();
}

void probe_masquerade(std::string_view backend, std::string_view search_path) {
  validate_masquerade_backend(backend);
  probe_backend({.backend = std::string(backend),
                 .families = {Family::kIpv4},
                 .search_path = std::string(search_path)},
                "masquerading");
}

}  // namespace cni::netfilter
