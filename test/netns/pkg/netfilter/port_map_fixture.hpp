// Published ports without a plugin around them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pkg/netfilter/connection.hpp"
#include "pkg/netfilter/port_map.hpp"
#include "pkg/netfilter/port_map_backends.hpp"
#include "pkg/os/undo.hpp"
#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/netns_fixture.hpp"

namespace cni::test {

// A host with a bridge that leads to the containers' addresses.
class PortMapHost {
 public:
  PortMapHost() {
    run_ok({"ip", "link", "add", "cni0", "type", "bridge"});
    run_ok({"ip", "link", "set", "cni0", "up"});
    run_ok({"ip", "address", "add", "10.22.0.1/16", "dev", "cni0"});
    run_ok({"ip", "address", "add", "fd00:22::1/64", "dev", "cni0", "nodad"});
  }

 private:
  Namespaces spaces_;
};

inline netfilter::PortMapping mapping(std::uint16_t host_port, std::uint16_t container_port,
                                      const std::string& host_ip = {}) {
  netfilter::PortMapping out;
  out.host_port = host_port;
  out.container_port = container_port;
  if (!host_ip.empty()) out.host_ip = Ip::parse(host_ip);
  return out;
}

// Container "c1" of the network "mynet" with two addresses and these mappings.
inline netfilter::PortMapSpec port_map_spec(std::vector<netfilter::PortMapping> mappings,
                                            const std::string& container_id = "c1",
                                            const std::string& last_part = "2") {
  netfilter::PortMapSpec out;
  out.owner = {"mynet", container_id, "eth0"};
  out.targets = {*Prefix::parse("10.22.0." + last_part + "/16"),
                 *Prefix::parse("fd00:22::" + last_part + "/64")};
  out.mappings = std::move(mappings);
  out.backend = "nftables";
  return out;
}

inline void publish(const netfilter::PortMapSpec& spec) {
  os::Undo undo;
  netfilter::add_port_map(spec, undo);
  undo.commit();
}

inline std::vector<netfilter::UdpDestination> unpublish(const netfilter::PortMapSpec& spec) {
  netfilter::Connection connection;
  return netfilter::NftPortMap::remove(connection.get(), spec);
}

inline void collect_garbage(const std::vector<Attachment>& valid,
                            const std::string& network = "mynet") {
  netfilter::Connection connection;
  netfilter::NftPortMap::gc(connection.get(), network, valid);
}

// What is wrong, in CHECK's words; empty if nothing is.
inline std::string gap(const netfilter::PortMapSpec& spec) {
  netfilter::Connection connection;
  try {
    netfilter::NftPortMap::check(connection.get(), spec);
    return {};
  } catch (const Error& error) {
    CHECK(error.code == Code::kCheckFailed);
    return error.what();
  }
}

inline std::string refusal(const netfilter::PortMapSpec& spec) {
  try {
    publish(spec);
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace cni::test
