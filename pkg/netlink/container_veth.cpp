#include "pkg/netlink/container_veth.hpp"

#include <cerrno>
#include <set>
#include <vector>

#include "pkg/netlink/new_link.hpp"
#include "pkg/os/sysctl.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/hash.hpp"

namespace cni::netlink {
namespace {

constexpr unsigned kMaxAttempts = 10;
constexpr std::size_t kMaxAlias = 255;       // IFALIASZ without its NUL
constexpr std::size_t kVethNameLength = 12;  // "veth" and eight digits

// A pair that was killed between its creation and attach_host_veth has no alias yet and is down.
bool belongs_to(const Link& link, const VethOwner& owner) {
  if (link.kind != "veth") return false;
  const bool half_made = link.alias.empty() && !link.is_up() && link.master == LinkIndex::kNone;
  return half_made || link.alias == host_veth_alias(owner);
}

Error name_taken(const ContainerVethSpec& spec, std::string_view peer) {
  return Error(Code::kConflict,
               cat("container veth name (", quote(spec.owner.ifname), ") peer provided (",
                   quote(peer), ") already exists"),
               "the container has an interface of that name; choose another CNI_IFNAME", EEXIST);
}

}  // namespace

std::string host_veth_name(const VethOwner& owner, unsigned attempt) {
  std::string seed = cat(owner.container_id, ':', owner.ifname);
  if (attempt != 0) seed += cat(':', attempt);
  return hashed_name("veth", seed, kVethNameLength);
}

std::string host_veth_alias(const VethOwner& owner) {
  std::string alias = cat("cni:", owner.network, ':', owner.container_id, ':', owner.ifname);
  if (alias.size() <= kMaxAlias) return alias;
  alias = cat("cni:", owner.network, ":#", sha512_hex(alias).substr(0, 64));
  if (alias.size() <= kMaxAlias) return alias;
  return cat("cni:#", sha512_hex(alias).substr(0, 64));
}

ContainerVeth add_container_veth(Socket& host, const ns::Netns& host_netns, Socket& container,
                                 const ContainerVethSpec& spec,
                                 const std::function<void()>& on_created) {
  VethSpec pair{.name = spec.owner.ifname,
                .mac = spec.mac,
                .mtu = spec.mtu,
                .peer_name = {},
                .peer_netns_fd = host_netns.fd()};
  for (unsigned attempt = 0;; ++attempt) {
    pair.peer_name = host_veth_name(spec.owner, attempt);
    try {
      add_veth(container, pair);
      break;
    } catch (Error& error) {
      if (error.sys_errno != EEXIST) {
        error.prepend("failed to make veth pair");
        throw;
      }
      if (find_link(container, spec.owner.ifname)) throw name_taken(spec, pair.peer_name);
      if (attempt + 1 == kMaxAttempts) throw;
    }
  }
  on_created();
  return {get_link(container, pair.name), get_link(host, pair.peer_name)};
}

void attach_host_veth(Socket& host, const Link& host_veth, const VethOwner& owner,
                      LinkIndex master) {
  // Without IPv6 there is nothing to refuse.
  os::try_write_sysctl({"net", "ipv6", "conf", host_veth.name, "accept_ra"}, "0");
  // The host solicits neighbours for forwarded packets with its link-local address, and does not
  // while that is tentative: for one to two seconds the container could not be reached. Nobody else
  // is on the link.
  os::try_write_sysctl({"net", "ipv6", "conf", host_veth.name, "accept_dad"}, "0");
  LinkChange change;
  change.alias = host_veth_alias(owner);
  change.up = true;
  if (master != LinkIndex::kNone) change.master = master;
  change_link(host, host_veth.index, change, cat("attach ", host_veth.name));
}

std::optional<Link> find_host_veth(Socket& host, const VethOwner& owner) {
  for (unsigned attempt = 0; attempt < kMaxAttempts; ++attempt) {
    auto link = find_link(host, host_veth_name(owner, attempt));
    if (!link || belongs_to(*link, owner)) return link;
  }
  return std::nullopt;
}

bool remove_host_veth(Socket& host, const VethOwner& owner) {
  const auto link = find_host_veth(host, owner);
  return link && remove_link(host, link->index);
}

void remove_stale_host_veths(Socket& host, std::string_view network,
                             std::span<const Attachment> valid) {
  std::set<std::string> keep;
  for (const Attachment& attachment : valid) {
    keep.insert(host_veth_alias({.network = std::string(network),
                                 .container_id = attachment.container_id,
                                 .ifname = attachment.ifname}));
  }
  const std::string prefix = cat("cni:", network, ':');
  std::vector<LinkIndex> stale;
  (void)find_link_if(host, [&](const Link& link) {
    const bool ours = link.kind == "veth" && link.alias.starts_with(prefix);
    if (ours && !keep.contains(link.alias)) stale.push_back(link.index);
    return false;  // all of them
  });
  ErrorList errors;
  for (const LinkIndex index : stale) {
    errors.run([&] { (void)remove_link(host, index); });
  }
  errors.throw_if_any();
}

}  // namespace cni::netlink
