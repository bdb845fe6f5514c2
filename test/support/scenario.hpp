// Plugins with the configurations and the surroundings in which their ADD works.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "test/support/netns_fixture.hpp"
#include "test/support/run_plugin.hpp"

namespace cni::test {

struct Scenario {
  std::string name;    // "bridge-masquerade-iptables"
  std::string plugin;  // "bridge"
  json config;         // without cniVersion and name, which call() fills in
};

// The scenario of that name. Throws if there is none.
const Scenario& scenario(std::string_view name);
// All of them, for tests that go over every plugin.
const std::vector<Scenario>& scenarios();

// Skips the case if the kernel or the machine lacks what the scenario needs.
void require_for(const Scenario& what);
// The same as an answer, for tests that go over every plugin and pass over those that cannot work.
bool works_here(const Scenario& what);
// Whether the plugin makes a link in the container, or only deals with one that another has made.
bool makes_link(const Scenario& what);
// Whether the container's link stands on one of the host, which it does not outlive.
bool stands_on_master(const Scenario& what);
// Makes what the plugin's configuration names (macvlan's master) on a fresh host. A device for
// host-device is made only where it is missing.
void prepare_host(const Scenario& what);

// Brings a fresh container to the state that DEL leaves it in, so that snapshots can be compared:
// lo keeps 127.0.0.1 once it was up. A plugin that works on an interface that is there gets one.
void prepare_container(const Scenario& what, const std::string& container);
// Makes the interface of such a plugin anew if DEL leaves it with less than it had (sbr and
// vrf: without routes), because it is about to be deleted.
void renew_interface(const Scenario& what, const std::string& container);
// Whether the interface is another plugin's, whose result is handed on as it is.
bool hands_on_result(const Scenario& what);

// Gives a fresh container the interface that a plugin in front would have made, if the plugin needs
// one; and takes it away again, with its end on the host, if it is there.
void connect_container(const Scenario& what, const std::string& container);
void disconnect_container(const Scenario& what, const std::string& container);

inline constexpr std::string_view kNetworkName = "testnet";

// The configuration as the runtime sends it for a container; with prevResult unless that is null.
std::string config_text(const Scenario& what, std::string_view version = "1.1.0",
                        const json& prev_result = nullptr, const std::string& container = "one");
// A whole call. The container's name is also its id.
Call call_of(const Scenario& what, std::string command, const std::string& container,
             std::string_view version = "1.1.0", const json& prev_result = nullptr);

}  // namespace cni::test
