// The plugin's side of the connection to the daemon.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "pkg/types/error.hpp"
#include "plugins/ipam/dhcp/exchange.hpp"

namespace cni::dhcp {

inline constexpr std::string_view kDefaultSocket = "/run/cni/dhcp.sock";

// Nobody listens: Code::kPluginNotAvailable, and how a daemon is started.
class NoDaemon : public Error {
 public:
  using Error::Error;
};

// Asks the daemon and waits for its answer. Throws what the daemon answers with, behind `error
// calling DHCP.Allocate: `; NoDaemon, `error dialing DHCP daemon: ...`, if nobody listens;
// Code::kTryAgainLater if it does not answer in time.
Answer ask_daemon(const std::string& socket_path, const Call& call, std::chrono::seconds patience);

}  // namespace cni::dhcp
