#include "pkg/attachment/link_users.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "pkg/netlink/netns_id.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"

namespace cni::attachment {
namespace {

constexpr std::string_view kNetnsFolder = "/run/netns";  // where `ip netns` and runtimes bind them

class Search {
 public:
  Search(const Master& master, const ns::Netns& netns_of_master,
         std::initializer_list<std::string_view> kinds, const LinkCondition& condition)
      : index_(master.link.index),
        netns_of_master_(netns_of_master),
        kinds_(kinds),
        condition_(condition) {}

  std::optional<LinkUser> in(netlink::Socket& socket, const ns::Netns& here,
                             std::string where) const {
    std::vector<netlink::Link> found = candidates(socket, here.is_same(netns_of_master_));
    if (found.empty()) return std::nullopt;
    if (!here.is_same(netns_of_master_)) {
      // The parent's index alone says nothing: each namespace counts for itself.
      const auto id = netlink::find_netns_id(socket, netns_of_master_);
      std::erase_if(found, [&](const netlink::Link& link) { return link.parent_netns_id != id; });
      if (found.empty()) return std::nullopt;
    }
    return LinkUser{std::move(found.front()), std::move(where)};
  }

  // Below /run/netns, but for those that were looked into already.
  std::optional<LinkUser> in_named(const std::vector<const ns::Netns*>& seen) const {
    for (const std::string& name : os::list_directory(std::string(kNetnsFolder))) {
      try {
        auto found = in_path(cat(kNetnsFolder, "/", name), seen);
        if (found) return found;
      } catch (const Error&) {
        continue;  // it may be going away right now, and is somebody else's
      }
    }
    return std::nullopt;
  }

 private:
  std::vector<netlink::Link> candidates(netlink::Socket& socket, bool is_netns_of_master) const {
    std::vector<netlink::Link> out;
    for (const std::string_view kind : kinds_) {
      for (netlink::Link& link : netlink::list_links(socket, kind)) {
        const bool parent_is_here = !link.parent_netns_id;
        const bool matches =
            link.parent == index_ && parent_is_here == is_netns_of_master && condition_(link);
        if (matches) out.push_back(std::move(link));
      }
    }
    return out;
  }

  std::optional<LinkUser> in_path(const std::string& path,
                                  const std::vector<const ns::Netns*>& seen) const {
    const auto netns = ns::Netns::find(path);
    if (!netns) return std::nullopt;
    const bool was_seen = std::any_of(
        seen.begin(), seen.end(), [&](const ns::Netns* other) { return other->is_same(*netns); });
    if (was_seen) return std::nullopt;
    netlink::Socket socket = netlink::Socket::open_in(*netns);
    return in(socket, *netns, cat("in ", path));
  }

  netlink::LinkIndex index_;
  const ns::Netns& netns_of_master_;
  std::vector<std::string_view> kinds_;
  const LinkCondition& condition_;
};

}  // namespace

std::string LinkUser::describe() const { return cat(link.kind, " ", link.name, " ", where); }

std::optional<LinkUser> find_link_user(Sides& sides, const Master& master,
                                       std::initializer_list<std::string_view> kinds,
                                       const LinkCondition& condition) {
  const ns::Netns host = ns::Netns::current();
  const Search search(master, master.in_container ? sides.netns : host, kinds, condition);
  if (auto found = search.in(sides.host, host, "on the host")) return found;
  if (auto found = search.in(sides.container, sides.netns, "in this container")) return found;
  return search.in_named({&host, &sides.netns});
}

std::optional<LinkUser> find_link_user(netlink::Socket& host, const Master& master,
                                       std::initializer_list<std::string_view> kinds,
                                       const LinkCondition& condition) {
  const ns::Netns host_netns = ns::Netns::current();
  const Search search(master, host_netns, kinds, condition);
  if (auto found = search.in(host, host_netns, "on the host")) return found;
  return search.in_named({&host_netns});
}

}  // namespace cni::attachment
