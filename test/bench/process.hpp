// Running one program the way a container runtime does, and measuring it from outside.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "pkg/os/fd.hpp"

namespace bench {

using Duration = std::chrono::nanoseconds;

struct Call {
  std::string path;
  std::vector<std::string> environment;
  std::string input;  // its stdin
};

// From before the process is made until it has been waited for. Throws with its output if it fails;
// else puts that into `output`, if there is one.
Duration time_of(const Call& call, std::string* output = nullptr);

// The most memory it had at once, in kilobytes, read when it was about to end. getrusage() would
// count this process's own memory in, which a new process has until it executes its program.
long peak_memory_of(const Call& call);

}  // namespace bench
