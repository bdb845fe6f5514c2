// The configuration of the sbr plugin.
#pragma once

#include <optional>

#include "pkg/netlink/route.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/schema.hpp"

namespace cni::sbr {

struct Config {
  // Somebody else's table, to which only the rules lead. Absent: each address gets one of its own.
  std::optional<netlink::TableId> table;
  std::optional<Ip> gateway_ipv4;
  std::optional<Ip> gateway_ipv6;
  bool add_source_hints = false;

  const std::optional<Ip>& gateway(Family family) const {
    return family == Family::kIpv4 ? gateway_ipv4 : gateway_ipv6;
  }
};

extern const schema::Description kDescription;

// Reads and validates all of it. Throws before anything was touched.
Config parse(const skel::Request& request);

// For DEL, which no mistake stops: the table, if it can be read.
std::optional<netlink::TableId> readable_table(const skel::Request& request);

}  // namespace cni::sbr
