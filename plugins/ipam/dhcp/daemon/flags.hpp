// What `dhcp daemon` is told on its command line.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "plugins/ipam/dhcp/time.hpp"

namespace cni::dhcp {

struct Flags {
  std::string pidfile;     // empty: none
  std::string hostprefix;  // before the paths of the socket, the state and the namespaces
  std::string socketpath = "/run/cni/dhcp.sock";
  std::string statedir = "/var/lib/cni/dhcp";
  bool broadcast = false;       // answers have to be broadcast
  Time timeout{10'000};         // of the first message; doubles with each repetition
  Time resendmax{62'000};       // longest pause between two attempts
  Time resendtimeout{208'000};  // of all attempts to get a lease
  // How long answers to an ARP probe are waited for; 0: none is sent. A neighbour answers within a
  // millisecond or two, and of this time the server's answer takes its part.
  Time probetime{10};
  bool help = false;
};

// Reads flags as Go's do: one dash or two, `-name=value` or `-name value`, a switch alone or with
// `=true`. Throws Code::kInvalidEnvironment naming flag and value.
Flags parse_flags(std::span<const std::string> arguments);

// The text of -help, and what follows a wrong flag.
std::string usage();

// A Go duration ("1m30s", "500ms", "1.5h", "0") in whole milliseconds, what is less than one
// dropped. Absent for anything else, also for a negative one and one beyond 292 years.
std::optional<Time> parse_duration(std::string_view text);

}  // namespace cni::dhcp
