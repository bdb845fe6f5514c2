// Which addresses of an attachment are routed by, and which routes each of them needs. Looks at no
// kernel.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "pkg/netlink/route.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/result.hpp"
#include "plugins/meta/sbr/config.hpp"

namespace cni::sbr {

struct Source {
  Prefix address;
  // Where its default route leads: to the configuration's gateway, the address's own, or that of a
  // default route of the result, preferably one in the address's subnet.
  std::optional<Ip> gateway;
  bool has_configured_gateway = false;
};

// The addresses of the interface, each once: those for which the result names it, or no interface.
std::vector<Source> sources_of(const Result& result, std::string_view ifname, const Config& config);

// Whether packets from a source need a route of its family: one whose gateway or preferred source
// is in the source's subnet, and one that has nothing to do with the subnet of any source. Where
// the source's gateway is known, a default route by one outside its subnet is not needed, and where
// it is configured, none by another.
bool needs_route(const Source& source, const std::vector<Source>& all, const netlink::Route& route);

}  // namespace cni::sbr
