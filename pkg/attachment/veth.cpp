#include "pkg/attachment/veth.hpp"

#include "pkg/attachment/interface.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/types/error.hpp"

namespace cni::attachment {
namespace {

std::string search_path(const skel::Request& request) {
  return skel::environment_value(request.environment, "PATH");
}

}  // namespace

netlink::VethOwner veth_owner(const skel::Request& request) {
  return {.network = request.config.name,
          .container_id = request.container_id,
          .ifname = request.ifname};
}

netlink::ContainerVeth add_veth(const skel::Request& request, const Mac& mac, std::uint32_t mtu,
                                netlink::Socket& host, netlink::Socket& container, os::Undo& undo) {
  return netlink::add_container_veth(host, ns::Netns::current(), container,
                                     {.owner = veth_owner(request), .mac = mac, .mtu = mtu},
                                     [&] { push_link_removal(request, undo); });
}

void remove_veth(const skel::Request& request) {
  if (remove_link(request)) return;
  // The namespace is unknown, or gone and the kernel has not come to the pair yet, or the container
  // renamed its end.
  netlink::Socket host = netlink::Socket::open();
  (void)netlink::remove_host_veth(host, veth_owner(request));
}

void gc_veths(const skel::Request& request) {
  netlink::Socket host = netlink::Socket::open();
  netlink::remove_stale_host_veths(host, request.config.name, request.config.valid_attachments);
}

netfilter::MasqueradeSpec masquerade_spec(const skel::Request& request, std::string backend,
                                          const Result* result) {
  netfilter::MasqueradeSpec spec{.network = request.config.name,
                                 .container_id = request.container_id,
                                 .ifname = request.ifname,
                                 .addresses = {},
                                 .backend = std::move(backend),
                                 .search_path = search_path(request)};
  if (result == nullptr) return spec;
  for (const IpConfig& ip : result->ips) spec.addresses.push_back(ip.address);
  return spec;
}

void restore_masquerade(const skel::Request& request, std::string backend,
                        skel::Restoration& restoration) {
  const auto spec = masquerade_spec(request, std::move(backend), request.config.prev_result());
  restoration.ensure(
      "masquerade", [&] { netfilter::check_masquerade(spec); },
      [&](os::Undo& undo) { netfilter::add_masquerade(spec, undo); });
}

void remove_masquerade(const skel::Request& request, netfilter::Connection& connection) {
  netfilter::remove_masquerade(masquerade_spec(request, {}, request.config.prev_result()),
                               connection);
}

void gc_masquerade(const skel::Request& request) {
  netfilter::gc_masquerade(request.config.name, request.config.valid_attachments,
                           search_path(request));
}

void probe_masquerade(const skel::Request& request, std::string_view backend) {
  netfilter::probe_masquerade(backend, search_path(request));
}

}  // namespace cni::attachment
