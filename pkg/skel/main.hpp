// main() of plugin executables.
#pragma once

#include "pkg/skel/plugin.hpp"

namespace cni::skel {

// Prepares the process (signals, descriptors, umask) and runs the plugin on its environment, stdin
// and stdout.
int plugin_main(const Plugin& plugin, int argc, char** argv);

// Picks the plugin by the last component of argv[0], or by argv[1] if argv[0] names none.
int multicall_main(int argc, char** argv);

}  // namespace cni::skel
