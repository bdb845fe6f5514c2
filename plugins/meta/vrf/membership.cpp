#include "plugins/meta/vrf/membership.hpp"

#include <cerrno>
#include <memory>

#include "pkg/netlink/new_link.hpp"
#include "pkg/types/error.hpp"
#include "plugins/meta/vrf/belongings.hpp"
#include "plugins/meta/vrf/table.hpp"

namespace cni::vrf {
namespace {

using netlink::Link;
using netlink::LinkIndex;
using netlink::TableId;

constexpr int kAttempts = 5;  // others who do not know our lock may remove the VRF meanwhile

void set_master(netlink::Socket& socket, const Link& link, LinkIndex master) {
  netlink::LinkChange change;
  change.master = master;
  const std::string operation = master == LinkIndex::kNone
                                    ? cat("take ", link.name, " out of its VRF")
                                    : cat("put ", link.name, " into the VRF");
  netlink::change_link(socket, link.index, change, operation);
}

void remove_unused(netlink::Socket& socket, LinkIndex vrf) {
  if (netlink::has_ports(socket, vrf)) return;
  (void)netlink::remove_link(socket, vrf);
}

// The same by name; other types of links are left alone.
void remove_unused(netlink::Socket& socket, std::string_view name) {
  const auto vrf = netlink::find_link(socket, name);
  if (vrf && vrf->kind == "vrf") remove_unused(socket, vrf->index);
}

// Absent if another made it at the same time.
std::optional<Link> make_vrf(Container& container, const Config& config, os::Undo& undo) {
  netlink::Socket& socket = container.socket();
  const std::uint32_t table = config.table != 0 ? config.table : find_free_table(socket);
  // Pushed first: the kernel may have made it although its answer is lost.
  const auto is_ours = std::make_shared<bool>(true);
  undo.push(cat("delete VRF ", config.name),
            [path = container.netns().path(), name = config.name, is_ours] {
              auto again = *is_ours ? Container::find(path) : std::nullopt;
              if (again) remove_unused(again->socket(), name);
            });
  try {
    context(cat("could not add VRF ", config.name),
            [&] { netlink::add_vrf(socket, {.name = config.name, .table = table}); });
  } catch (const Error& error) {
    if (error.sys_errno != EEXIST) throw;
    *is_ours = false;
    return std::nullopt;
  }
  return netlink::find_link(socket, config.name);
}

Link find_or_make_vrf(Container& container, const Config& config, os::Undo& undo) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto vrf = netlink::find_link(container.socket(), config.name);
    if (!vrf) vrf = make_vrf(container, config, undo);
    if (!vrf) continue;
    check_vrf(*vrf, config);
    if (!vrf->is_up()) netlink::set_up(container.socket(), vrf->index);
    return *vrf;
  }
  throw Error(Code::kTryAgainLater,
              cat("VRF ", config.name, " comes and goes: somebody else makes and deletes it"));
}

bool is_in(netlink::Socket& socket, const Link& link, LinkIndex vrf) {
  const auto now = netlink::find_link(socket, link.index);
  return now && now->master == vrf;
}

// False if the VRF has gone meanwhile.
bool put_into(Container& container, const Link& link, const Link& vrf, const Belongings& before) {
  netlink::Socket& socket = container.socket();
  keep_settled(socket, before);
  const TableId table{vrf.vrf_table};
  try {
    set_master(socket, link, vrf.index);
    give_back(socket, container.netns(), link.index, before, {.main = table, .local = table});
  } catch (const Error&) {
    if (netlink::find_link(socket, vrf.index)) throw;
    return false;
  }
  return is_in(socket, link, vrf.index);
}

void push_return(Container& container, const Link& link, const Belongings& before, os::Undo& undo) {
  undo.push(cat("take ", link.name, " out of its VRF"),
            [path = container.netns().path(), index = link.index, before] {
              auto again = Container::find(path);
              if (!again) return;
              netlink::Socket& socket = again->socket();
              const auto now = netlink::find_link(socket, index);
              if (!now) return;
              keep_settled(socket, before);
              if (now->master != LinkIndex::kNone) set_master(socket, *now, LinkIndex::kNone);
              give_back(socket, again->netns(), index, before, {});
            });
}

Link link_without_master(netlink::Socket& socket, const std::string& ifname) {
  const auto link = netlink::find_link(socket, ifname);
  if (!link) {
    throw Error(Code::kSystemCall, cat("could not get link by name ", ifname),
                "the plugin in front has to make the container's interface", ENODEV);
  }
  if (link->master != LinkIndex::kNone) {
    const auto master = netlink::find_link(socket, link->master);
    throw Error(Code::kConflict, cat("interface ", ifname, " has already a master set: ",
                                     master ? master->name : "one that has just gone"));
  }
  return *link;
}

}  // namespace

Container::Container(ns::Netns netns)
    : netns_(std::move(netns)),
      lock_(netns_.fd(), cat("the network namespace ", netns_.path())),
      socket_(netlink::Socket::open_in(netns_)) {}

Container Container::enter(const std::string& netns_path) {
  return Container(ns::Netns::open(netns_path));
}

std::optional<Container> Container::find(const std::string& netns_path) {
  auto netns = ns::Netns::find(netns_path);
  if (!netns) return std::nullopt;
  return Container(*std::move(netns));
}

void check_vrf(const Link& link, const Config& config) {
  if (link.kind != "vrf") {
    throw Error(Code::kConflict, cat("Netlink ", link.name, " is not a VRF",
                                     link.kind.empty() ? "" : cat(" but of type ", link.kind),
                                     ": choose another vrfname"));
  }
  if (config.table == 0 || config.table == link.vrf_table) return;
  throw Error(Code::kConflict,
              cat("VRF ", link.name, " already exist with different routing table ", link.vrf_table,
                  " (the configuration says ", config.table, ")"));
}

void join(Container& container, const std::string& ifname, const Config& config, os::Undo& undo) {
  netlink::Socket& socket = container.socket();
  const Link link = link_without_master(socket, ifname);
  const Belongings before = belongings_of(socket, link.index);
  bool is_pushed = false;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const Link vrf = find_or_make_vrf(container, config, undo);
    if (!is_pushed) push_return(container, link, before, undo);
    is_pushed = true;
    if (put_into(container, link, vrf, before)) return;
  }
  throw Error(Code::kTryAgainLater, cat("somebody else has deleted VRF ", config.name, " ",
                                        kAttempts, " times while ", ifname, " was put into it"));
}

void leave(Container& container, const std::string& ifname, const std::string& name) {
  netlink::Socket& socket = container.socket();
  LinkIndex former = LinkIndex::kNone;
  ErrorList errors;
  errors.run([&] {
    const auto link = netlink::find_link(socket, ifname);
    if (!link || link->master == LinkIndex::kNone) return;
    const auto master = netlink::find_link(socket, link->master);
    if (!master || master->kind != "vrf") return;
    former = master->index;
    try {
      set_master(socket, *link, LinkIndex::kNone);
    } catch (const Error& error) {
      if (error.sys_errno != ENODEV) throw;  // it has gone meanwhile
    }
  });
  if (former != LinkIndex::kNone) errors.run([&] { remove_unused(socket, former); });
  if (!name.empty()) errors.run([&] { remove_unused(socket, name); });
  errors.throw_if_any();
}

}  // namespace cni::vrf
