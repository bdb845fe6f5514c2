// The rules and tables of an attachment in the container's namespace: what ADD makes of them and
// DEL takes away.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pkg/netlink/link.hpp"
#include "pkg/netlink/route.hpp"
#include "pkg/netlink/rule.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/os/undo.hpp"
#include "pkg/types/address.hpp"
#include "plugins/meta/sbr/source.hpp"

namespace cni::sbr {

struct Container {
  const ns::Netns& netns;
  netlink::Socket& socket;
  const netlink::Link& link;
};

// Adds a rule for each source that leads to somebody else's table. One that is there is as good.
void add_rules(const Container& container, const std::vector<Source>& sources,
               netlink::TableId table, os::Undo& undo);

// Gives each source a rule and a table that nobody uses, with the link's routes for it, and takes
// those routes out of the main table. The namespace has to be locked, or another ADD takes the same
// tables.
void move_routes(const Container& container, const std::vector<Source>& sources,
                 bool add_source_hints, os::Undo& undo);

// Whether the rule asks for one source address, and for nothing else: what ADD adds.
bool is_of_one_address(const netlink::Rule& rule);
// Whether a table is one of the kernel's own.
bool is_kernel_table(netlink::TableId table);

struct Removal {
  std::optional<netlink::Link> link;      // if it is still there
  std::vector<Ip> addresses;              // that it had, as far as is known
  std::optional<netlink::TableId> table;  // the only one that the rules lead to, somebody else's
};
// Removes the rules for the link's addresses with the link's routes in their tables, and rules for
// addresses that nobody has any more.
void remove_rules(netlink::Socket& container, const Removal& removal);

}  // namespace cni::sbr
