// cnitool in a plugin's place, to note what the plugin takes. See timing.hpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace cni::cnitool {

// If the process was started by a link of a Timing folder: runs the plugin that the link stands for
// with the same arguments, environment and descriptors, notes its times, and returns its exit
// status; a plugin that a signal killed takes this process with it. Absent otherwise.
std::optional<int> run_as_shim(const std::vector<std::string>& argv,
                               const std::vector<std::string>& environment);

}  // namespace cni::cnitool
