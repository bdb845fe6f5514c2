// The oracles: what the system's own programs say about the network.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/os/process.hpp"
#include "test/support/json.hpp"

namespace cni::test {

// An installed program's path, looked for in PATH and in the sbin folders.
std::optional<std::string> find_installed(std::string_view name);

// Runs an installed program (argv[0] is its name). Fails the case if it cannot be started; its exit
// status is the caller's.
os::Exit run(const std::vector<std::string>& argv, const std::string& input = {});
// As run, on a namespace bound to /run/netns/NAME or given by path.
os::Exit run_in(const std::string& netns, const std::vector<std::string>& argv,
                const std::string& input = {});
// As run, but the case fails, with its stderr, unless the program succeeds. Its stdout.
std::string run_ok(const std::vector<std::string>& argv, const std::string& input = {});
std::string run_ok_in(const std::string& netns, const std::vector<std::string>& argv,
                      const std::string& input = {});

// `ip ARGS`, `bridge ARGS`, `nft ARGS`, `tc ARGS` with success demanded; -j has to be among the
// arguments for an answer. An empty answer is an empty array, which is what the programs mean.
json ip(std::vector<std::string> arguments);
json bridge(std::vector<std::string> arguments);
json tc(std::vector<std::string> arguments);
json nft(std::vector<std::string> arguments);
// The same inside a namespace, by its name below /run/netns or by path.
json ip_in(const std::string& netns, std::vector<std::string> arguments);
json bridge_in(const std::string& netns, std::vector<std::string> arguments);
json nft_in(const std::string& netns, std::vector<std::string> arguments);

// The link of that name as `ip -j -d link show` has it; absent if there is none.
std::optional<json> find_link_json(const std::string& netns, const std::string& name);
// "10.1.0.2/16" of every address of a link, in the order of `ip`; empty netns: the host. Link-local
// IPv6 left out.
std::vector<std::string> addresses_on(const std::string& netns, const std::string& link);
// What `ip -d` says of a link's IPv6 addresses that are not link-local, sorted; of lifetimes only
// whether they end ("ends", "forever"). Empty netns: the host.
json ipv6_addresses_on(const std::string& netns, const std::string& link);

// The VLANs of a bridge port or bridge as `bridge vlan show` has them: "1 PVID Egress Untagged;
// 5-9".
std::string vlans_shown(const std::string& link);

// A value below /proc/sys in a namespace ("net/ipv4/ip_forward"), without its newline; absent if
// there is none.
std::optional<std::string> sysctl(const std::string& netns, const std::string& path);

}  // namespace cni::test
