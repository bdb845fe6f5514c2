// Configurations of bridges with VLANs, and their gateways.
#pragma once

#include <string>

#include "test/support/ip_json.hpp"

namespace cni::test {

inline json bridge_with(const json& more = json::object()) {
  json config = {{"type", "bridge"},
                 {"bridge", "cni0"},
                 {"ipam", {{"type", "host-local"}, {"subnet", "10.22.0.0/16"}}}};
  config.update(more);
  return config;
}

inline json gateway_of(int vlan, const json& more = json::object()) {
  json config = bridge_with({{"vlan", vlan}, {"isGateway", true}});
  config.update(more);
  return config;
}

// The bridge's end of a gateway.
inline std::string gateway_port(const std::string& name) {
  return find_link_json("", name).value().at("link").get<std::string>();
}

}  // namespace cni::test
