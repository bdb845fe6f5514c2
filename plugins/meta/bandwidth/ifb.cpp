#include "plugins/meta/bandwidth/ifb.hpp"

#include <cerrno>
#include <set>

#include "pkg/netlink/new_link.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/hash.hpp"
#include "plugins/meta/bandwidth/place.hpp"

namespace cni::bandwidth {
namespace {

constexpr std::string_view kPrefix = "bwp";
constexpr std::size_t kNameLength = 15;
constexpr std::string_view kKind = "ifb";

// The mark of whose an interface is has the same form for all that the suite makes on the host.
std::string mark_of(const Owner& owner) { return netlink::host_veth_alias(owner); }

// Marks the device and sets it up, all in one message, so that a device that is up has its mark.
void finish(netlink::Socket& socket, netlink::LinkIndex index, const Owner& owner,
            const std::optional<std::string>& name) {
  netlink::LinkChange change;
  change.name = name;
  change.alias = mark_of(owner);
  change.up = true;
  netlink::change_link(socket, index, change, "set the ifb device up");
}

}  // namespace

std::string reference_ifb_name(const Owner& owner) {
  return hashed_name(kPrefix, cat(owner.network, owner.container_id), kNameLength);
}

std::string own_ifb_name(const Owner& owner) {
  return hashed_name(kPrefix, cat(owner.network, owner.container_id, ':', owner.ifname),
                     kNameLength);
}

netlink::Link add_ifb(netlink::Socket& socket, const std::string& netns_path, const Owner& owner,
                      std::uint32_t mtu, os::Undo& undo) {
  const std::string born_as = own_ifb_name(owner);
  netlink::add_ifb(socket, {.name = born_as, .mtu = mtu});
  undo.push(cat("delete link ", born_as), [netns_path, born_as] {
    if (auto there = open_place(netns_path)) (void)netlink::remove_link(*there, born_as);
  });
  const netlink::LinkIndex index = netlink::get_link(socket, born_as).index;
  undo.push(cat("delete link ", born_as, " under its last name"), [netns_path, index] {
    if (auto there = open_place(netns_path)) (void)netlink::remove_link(*there, index);
  });
  try {
    finish(socket, index, owner, reference_ifb_name(owner));
  } catch (const Error& error) {
    // Another interface of the container has the name.
    if (error.sys_errno != EEXIST) throw;
    finish(socket, index, owner, std::nullopt);
  }
  return netlink::get_link(socket, index);
}

std::optional<netlink::Link> find_ifb(
    netlink::Socket& socket, const Owner& owner,
    const std::function<bool(const netlink::Link&)>& takes_unmarked) {
  const std::string mark = mark_of(owner);
  auto link = netlink::find_link(socket, own_ifb_name(owner));
  // Without a mark it is one over which an ADD was killed.
  if (link && link->kind == kKind && (link->alias.empty() || link->alias == mark)) return link;
  link = netlink::find_link(socket, reference_ifb_name(owner));
  if (!link || link->kind != kKind) return std::nullopt;
  if (link->alias == mark || (link->alias.empty() && takes_unmarked(*link))) return link;
  return std::nullopt;
}

void remove_stale_ifbs(netlink::Socket& host, std::string_view network,
                       std::span<const Attachment> valid) {
  std::set<std::string> keep;
  for (const Attachment& attachment : valid) {
    keep.insert(mark_of({.network = std::string(network),
                         .container_id = attachment.container_id,
                         .ifname = attachment.ifname}));
  }
  const std::string prefix = cat("cni:", network, ':');
  ErrorList errors;
  for (const netlink::Link& link : netlink::list_links(host, kKind)) {
    if (!link.alias.starts_with(prefix) || keep.contains(link.alias)) continue;
    errors.run([&] { (void)netlink::remove_link(host, link.index); });
  }
  errors.throw_if_any();
}

}  // namespace cni::bandwidth
