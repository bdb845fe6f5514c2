// A node that publishes ports of a container, everybody who may connect to them, and servers with
// names wherever a connection might end.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pkg/ns/netns.hpp"
#include "test/support/json.hpp"
#include "test/support/named_server.hpp"
#include "test/support/netns_fixture.hpp"
#include "test/support/run_plugin.hpp"

namespace cni::test {

// What stands behind 10.22.0.0/16 and fd00:22::/64.
enum class ContainerNetwork { kBridge, kHairpinBridge, kPtp };
std::string to_string(ContainerNetwork network);

// c1 is 10.22.0.2 and fd00:22::2; its neighbour c2 is .3 and ::3; the host is .1 and ::1 to both.
// c3, 10.23.0.2 and fd00:23::2, is on another bridge. Behind the node: remote, 192.0.2.2 and
// 2001:db8:1::2, and foreign, 198.51.100.2 and 2001:db8:2::2, on networks of their own. To remote
// the host is 192.0.2.1 and .101, 2001:db8:1::1 and ::101. Nothing is masqueraded but by portmap.
//
// All answer on port 8080, and the containers on port 80 too, over SCTP only if the kernel has it.
// The plugins are executables.
class PublishingNode {
 public:
  static constexpr std::uint16_t kHostPort = 8080;
  static constexpr std::uint16_t kContainerPort = 80;

  // folder: where the plugins are. more: keys for the main plugin of c1 and c2.
  explicit PublishingNode(ContainerNetwork network, std::string folder = CNI_TEST_BIN_DIR,
                          const json& more = json::object());

  // From now on the plugins of that folder are called.
  void use_plugins_of(std::string folder) { folder_ = std::move(folder); }

  // Calls portmap for c1 with that configuration; backend, name, version, prevResult and the rest
  // are filled in. The container stands in for another one of the node.
  PluginRun portmap(std::string_view command, const json& config,
                    const std::string& container = "c1") const;
  // portmap, with success demanded.
  void publish(const json& config, const std::string& container = "c1") const;
  void unpublish(const json& config, const std::string& container = "c1") const;

  // Calls the main plugin's DEL for a container.
  void detach(const std::string& container) const;

  // Whether frames between ports of a bridge pass iptables' and nftables' rules for IP (the host's
  // br_netfilter).
  static bool can_filter_bridged_frames();
  static void filter_bridged_frames(bool on);

  Namespaces& spaces() { return spaces_; }
  const ns::Netns& host() const { return spaces_.host(); }
  const ns::Netns& netns(const std::string& name) const;

 private:
  void attach(const std::string& name, const json& config);
  PluginRun call_main(std::string_view command, const std::string& container) const;
  void connect(const std::string& name, const std::string& link,
               const std::vector<std::string>& host_addresses,
               const std::vector<std::string>& addresses);

  Namespaces spaces_;
  std::string folder_;
  json configs_;  // of the main plugins, by container
  json results_;  // the same
  std::vector<std::pair<std::string, ns::Netns>> members_;
  std::vector<std::unique_ptr<NamedServer>> servers_;
};

// One mapping of the host port to c1's, on one address of the host or on all (empty).
json mapping(const std::string& protocol, const std::string& host_ip = {});
// tcp, udp and sctp: IPPROTO_ numbers.
int protocol_number(const std::string& protocol);

}  // namespace cni::test
