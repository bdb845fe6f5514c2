// The plugin's side of the connection to the daemon.
#pragma once

#include <chrono>
#include <string>

#include "plugins/ipam/dhcp/exchange.hpp"

namespace cni::dhcp {

inline constexpr std::string_view kDefaultSocket = "/run/cni/dhcp.sock";

// Asks the daemon and waits for its answer. Throws what the daemon answers with; `error dialing
// DHCP daemon: ...` with Code::kPluginNotAvailable and the command that starts one if nobody
// listens; Code::kTryAgainLater if it does not answer in time.
Lease ask_daemon(const std::string& socket_path, const Call& call, std::chrono::seconds patience);

}  // namespace cni::dhcp
