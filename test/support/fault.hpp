// Faults at a chosen system call of a plugin or of a program that it runs: the call is made to
// fail, or the plugin is killed behind it. Calls are counted in each process with all its threads,
// since the plugin and its delegate run side by side.
#pragma once

#include <string>

#include "test/support/run_plugin.hpp"

namespace cni::test {

struct Fault {
  enum class Kind {
    kKillAll,      // SIGKILL for the plugin and what it runs, once the call is done
    kKillProcess,  // SIGKILL for the process that made the call, once it is done
    kFail,         // the call is not made but returns an error
  };
  Kind kind = Kind::kFail;
  int error = 0;    // kFail: the errno
  int process = 0;  // 0 is the plugin, 1 the first program that it runs, and so on
  int when = 1;     // the first counted call of that process is 1
};

struct FaultyRun {
  PluginRun run;
  bool happened = false;  // false: the process made fewer calls than that, or was not started
  std::string call;       // name of the call
};

// What is counted: for kFail the calls that can fail, for killing all that return.
FaultyRun call_with_fault(const std::string& plugin, const Call& what, const Fault& fault);

// Skips the case on a machine or in a sandbox that does not allow it, and in builds whose sanitizer
// has calls of its own.
void require_fault_injection();

}  // namespace cni::test
