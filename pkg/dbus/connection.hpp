// A connection to a message bus.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/dbus/message.hpp"
#include "pkg/os/fd.hpp"

namespace cni::dbus {

inline constexpr std::string_view kSystemBus = "unix:path=/run/dbus/system_bus_socket";

// The socket addresses in a bus address ("unix:path=/a;unix:abstract=b"): paths, and abstract names
// behind a "@". Other kinds are left out.
std::vector<std::string> unix_sockets(std::string_view bus_address);

class Connection {
 public:
  // Connects to the first socket of the address that somebody listens on, and says who we are.
  // Absent if nobody does. All that is done over the connection has to be done by the deadline;
  // what is not throws Code::kTryAgainLater.
  static std::optional<Connection> open(std::string_view bus_address,
                                        std::chrono::steady_clock::time_point deadline);

  // Calls a method and waits for the answer, which may be an error.
  Message call(const MethodCall& call);
  // Whether somebody has that name on the bus.
  bool has_owner(std::string_view name);

 private:
  Connection(os::Fd fd, std::chrono::steady_clock::time_point deadline)
      : fd_(std::move(fd)), deadline_(deadline) {}
  void authenticate();
  void send(std::string_view data);
  void receive();
  std::string read_line();
  Message read_message();

  os::Fd fd_;
  std::chrono::steady_clock::time_point deadline_;
  std::string received_;  // and not read yet
  std::uint32_t serial_ = 0;
};

}  // namespace cni::dbus
