// `dhcp daemon`: gets leases, keeps them, and gives them back.
#pragma once

#include <string>
#include <vector>

#include "plugins/ipam/dhcp/daemon/flags.hpp"

namespace cni::dhcp {

// The executable's other use than as a plugin: argv[1] is `daemon`, flags follow. Returns the exit
// status: 2 for a wrong flag, 1 if it cannot start, both with a message on stderr; 0 after SIGINT
// or SIGTERM, which leave leases as they are for the next daemon to go on with.
int run(int argc, char** argv);

// Serves until SIGINT or SIGTERM. Blocks both in the calling thread. Throws if it cannot start.
void serve(const Flags& flags, const std::vector<std::string>& environment);

}  // namespace cni::dhcp
