// Which of iptables and nftables does the work, for everything that has both backends.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/netfilter/connection.hpp"
#include "pkg/types/address.hpp"

namespace cni::netfilter {

inline constexpr std::array<std::string_view, 2> kBackends = {"iptables", "nftables"};
inline constexpr std::string_view kIptablesBackend = kBackends[0];
inline constexpr std::string_view kNftablesBackend = kBackends[1];

// What the configuration asks for, and what is needed of it.
struct BackendChoice {
  // One of kBackends, or empty: iptables, unless that cannot be used and nftables can.
  std::string backend;
  std::vector<Family> families;
  // PATH of the environment, where iptables' programs are looked for before the usual folders.
  std::string search_path;
};

// True if the name is one of kBackends, or empty.
bool is_backend(std::string_view name);

// ADD with the backend that is to be used. iptables is tried first: whether it can be used, which
// costs executions, is only asked after it has failed. take_back_iptables removes what the failed
// one has done.
struct BackendActions {
  std::function<void()> iptables;
  std::function<void()> take_back_iptables;
  std::function<void()> nftables;
};
void with_backend(const BackendChoice& choice, const BackendActions& actions);

// CHECK of the backend that ADD has used: the configured one or, without, the one that passes.
// has_iptables tells without running a program whether there is anything of iptables' to check. If
// neither passes, what iptables lacks is thrown.
struct BackendChecks {
  std::function<bool(netlink::Socket&)> has_iptables;
  std::function<void()> iptables;
  std::function<void(netlink::Socket&)> nftables;
};
void check_backend(const BackendChoice& choice, const BackendChecks& checks);

// For STATUS: throws Code::kPluginNotAvailable if no backend that may be used can be. `what` names
// the work: "masquerading".
void probe_backend(const BackendChoice& choice, std::string_view what);

}  // namespace cni::netfilter
