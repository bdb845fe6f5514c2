// A host on which plugins are called in process, each call with its whole configuration.
#pragma once

#include <string>
#include <string_view>

#include "test/support/json.hpp"
#include "test/support/netns_fixture.hpp"
#include "test/support/run_plugin.hpp"

namespace cni::test {

class PluginNode {
 public:
  Namespaces spaces;

  // Calls the plugin that the configuration's type names. The container's name is its id too; a
  // name without a namespace stands for one that is gone. cniVersion and name are filled in if the
  // configuration has none.
  PluginRun run(std::string_view command, const json& config, const std::string& container = "c1",
                const json& prev_result = nullptr, const Call& rest = {});

  // run, with success demanded; the result of ADD.
  json add(const json& config, const std::string& container = "c1", const Call& rest = {});
  void del(const json& config, const std::string& container = "c1",
           const json& prev_result = nullptr);
  void check(const json& config, const json& prev_result, const std::string& container = "c1");
};

// What holds for every plugin that gives its interface what an IPAM plugin assigns. Each wants a
// fresh node with the container "c1".

// ADD gives eth0 the address, CHECK is content at versions that have it, DEL leaves nothing, and
// may be repeated.
void check_add_and_del(PluginNode& node, const json& config, const std::string& address);
// The result has the IPAM plugin's DNS settings, unless the configuration has its own.
void check_ipam_dns(PluginNode& node, json config);
// GC releases the address of an attachment that is not valid; ipam is host-local.
void check_gc_reaches_ipam(PluginNode& node, json config);

// Sends text over a new TCP connection from one namespace to a server in another, and back. The
// client's address as the server sees it; empty if there is no connection within two seconds.
std::string tcp_client_seen(const ns::Netns& client, const ns::Netns& server,
                            const std::string& address);

// True if a ping (IPv4 or IPv6) is answered.
bool pings(const std::string& netns, const std::string& address);

}  // namespace cni::test
