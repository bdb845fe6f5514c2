// Faults at a chosen system call of a plugin: it is made to fail, or the plugin is killed behind
// it. Calls are counted over the plugin with all its threads and all programs that it runs, in the
// order in which they happen, from its exec on.
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
  int error = 0;  // kFail: the errno
  int when = 1;   // the first counted call is 1
};

struct FaultyRun {
  PluginRun run;
  bool happened = false;   // false: the plugin made fewer calls than that
  bool in_plugin = false;  // in the plugin's own process rather than in a program that it runs
  std::string call;        // name of the call
};

// What is counted: for kFail the calls that can fail; for killing those that can change anything
// outside of the process, because between two of them every moment is like the other.
FaultyRun call_with_fault(const std::string& plugin, const Call& what, const Fault& fault);

// Skips the case on a machine or in a sandbox that does not allow it, and in builds whose sanitizer
// has calls of its own.
void require_fault_injection();

}  // namespace cni::test
