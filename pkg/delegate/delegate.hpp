// Finding and running other plugins.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "pkg/os/process.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/result.hpp"

namespace cni::delegate {

// Refuses a type that could leave the plugin folders: `no plugin name provided` for "", `invalid
// plugin name: X` for one with a separator, "." or "..".
void check_type(std::string_view type);

// The plugin's path: the first folder of CNI_PATH with a regular file of that name. Throws `no
// paths provided` and `failed to find plugin "X" in path [a b]`.
std::string find_in_path(std::string_view type, std::string_view cni_path);
std::string find_in_folders(std::string_view type, std::span<const std::string> folders);

// How a plugin failed: the error object on its stdout, or Code::kDelegateFailed with its exit
// status or signal and the end of its stderr.
Error plugin_failure(std::string_view type, const os::Exit& exit);

// A plugin that was started with the request's environment, CNI_COMMAND set to `command`. It can do
// nothing before it has its configuration, so that it may be started ahead of what has to come
// first; one that is never given it is killed. The request has to outlive it.
class Delegate {
 public:
  // Throws what find_in_path throws, and Code::kDelegateFailed if it cannot be started.
  Delegate(const skel::Request& request, std::string_view type, skel::Command command);

  // Gives it the request's configuration.
  void begin();
  // Waits for its end, after begin if that was not called, and returns its stdout. A plugin's error
  // object is thrown with its own code, message and details; one that dies without is
  // Code::kDelegateFailed with its exit status or signal and the end of its stderr.
  std::string finish();
  // finish for ADD: the result; a result without cniVersion is taken to have the configuration's.
  Result finish_add();

 private:
  const skel::Request& request_;
  std::string type_;
  std::unique_ptr<os::Process> process_;
};

// Runs a plugin from start to end, with the errors of Delegate.
std::string run(const skel::Request& request, std::string_view type, skel::Command command);

}  // namespace cni::delegate
