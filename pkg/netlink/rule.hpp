// Policy routing rules.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "pkg/netlink/route.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/address.hpp"

namespace cni::netlink {

struct Rule {
  Family family = Family::kIpv4;
  std::optional<Prefix> source;
  TableId table = TableId::kMain;
  std::optional<std::uint32_t> priority;  // absent: the kernel chooses
  // Only told by list_rules: the rule asks for more than the source (a mark, an interface, a port),
  // does something else than to look the table up, or says of which program it is.
  bool has_more = false;

  bool operator==(const Rule& other) const = default;
};

// EEXIST if the rule exists.
void add_rule(Socket& socket, const Rule& rule);
// False if there is no such rule.
bool remove_rule(Socket& socket, const Rule& rule);
// In the order in which the kernel applies them. None if it has no rules for the family.
std::vector<Rule> list_rules(Socket& socket, Family family);
// Throws Code::kMissingKernelFeature if the kernel has no rules for the family.
void require_rules(Socket& socket, Family family);

}  // namespace cni::netlink
