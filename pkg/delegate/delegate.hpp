// Finding and running other plugins.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pkg/skel/request.hpp"
#include "pkg/types/result.hpp"

namespace cni::delegate {

// Refuses a type that could leave the plugin folders: `no plugin name provided` for "", `invalid
// plugin name: X` for one with a separator, "." or "..".
void check_type(std::string_view type);

// The plugin's path: the first folder of CNI_PATH with a regular file of that name. Throws `no
// paths provided` and `failed to find plugin "X" in path [a b]`.
std::string find_in_path(std::string_view type, std::string_view cni_path);

// Runs a plugin with the request's configuration and environment, CNI_COMMAND set to `command`.
// Returns its stdout. A plugin's error object is thrown with its own code, message and details; one
// that dies without is Code::kDelegateFailed with its exit status or signal and the end of its
// stderr.
std::string run(const skel::Request& request, std::string_view type, skel::Command command);

// run for ADD: the result; a result without cniVersion is taken to have the configuration's.
Result run_add(const skel::Request& request, std::string_view type);

}  // namespace cni::delegate
