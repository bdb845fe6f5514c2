// Calling plugins as a runtime does: as executables, or in the test's process through skel::run.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/skel/plugin.hpp"
#include "pkg/skel/request.hpp"
#include "test/support/json.hpp"

namespace cni::test {

// What the runtime says. An empty variable is not set at all, which means the same to a plugin.
struct Call {
  std::string command;
  std::string container_id = "test-container";
  std::string netns;
  std::string ifname = "eth0";
  std::string args;
  std::string path = CNI_TEST_BIN_DIR;
  std::string input;                          // stdin: the network configuration
  std::vector<std::string> more_environment;  // "NAME=value"
  // Executables only. The command is put behind these words: strace and its options.
  std::vector<std::string> wrapper;
  enum class Stream { kFile, kClosed, kFullDevice, kBrokenPipe };
  Stream stdin_stream = Stream::kFile;  // kFile or kClosed
  Stream stdout_stream = Stream::kFile;
};

struct PluginRun {
  int status = 0;  // exit status if not ended by a signal
  int signal = 0;  // the signal that ended it, or 0
  std::string out;
  std::string err;
  json document;  // stdout parsed; null if it is empty, "discarded" if it is not one JSON document

  bool ok() const { return status == 0 && signal == 0; }
  // The error object's code; absent if there is none.
  std::optional<int> code() const;
  std::string msg() const;
  std::string details() const;
  // For INFO: all of it.
  std::string describe() const;
};

// Runs CNI_TEST_BIN_DIR/plugin, or the executable `plugin` if it is a path, and waits for its end.
// Streams are files in memory, so no amount of output blocks anybody.
PluginRun call(const std::string& plugin, const Call& what);

// As call, but the process asks to be traced (PTRACE_TRACEME) and stops before its exec. The tracer
// goes on from there, waits for its end and returns its wait status.
using Tracer = std::function<int(pid_t pid)>;
PluginRun call_traced(const std::string& plugin, const Call& what, const Tracer& tracer);

// Checks that the run failed as the specification has it: exit status 1, exactly one error object
// on stdout, with this code and a message that starts like this.
void check_error(const PluginRun& run, int code, std::string_view msg_start);

// As call, but through skel::run in this process, with its hooks.
struct Hooks {
  os::Undo::Observer on_undo_push;
  std::function<void()> before_print;
};
PluginRun call_in_process(const skel::Plugin& plugin, const Call& what, const Hooks& hooks = {});

// The plugin of that name in the generated table; fails the case if there is none.
const skel::Plugin& plugin_named(std::string_view name);

// Names of the executables below CNI_TEST_BIN_DIR that are plugins, sorted.
std::vector<std::string> plugin_executables();
// Path of an executable of ours.
std::string executable(std::string_view plugin);

// Folder of the reference plugins' executables, from the environment variable CNI_REFERENCE. Absent
// if unset.
std::optional<std::string> reference_dir();
// The same, or the case is skipped.
std::string require_reference();

}  // namespace cni::test
