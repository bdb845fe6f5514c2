// Running other programs: argv, never a shell.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cni::os {

struct Exit {
  int status = 0;  // exit status if not ended by a signal
  int signal = 0;  // the signal that ended it, or 0
  std::string out;
  std::string err;

  bool ok() const { return status == 0 && signal == 0; }
  // "exit status 2" or "signal: killed".
  std::string describe() const;
};

struct Command {
  std::string path;                                     // executable
  std::vector<std::string> argv;                        // argv[0] included
  std::string input;                                    // its standard input
  std::optional<std::vector<std::string>> environment;  // absent: this process's
};

// Runs the command and waits for its end; collects stdout and stderr. The child has no other
// descriptors of ours and an empty signal mask. Throws Code::kDelegateFailed if it cannot be
// started (sys_errno tells why).
Exit run(const Command& command);

// The first executable regular file of that name in a colon-separated list of folders; empty
// elements are skipped.
std::optional<std::string> find_program(std::string_view name, std::string_view search_path);

}  // namespace cni::os
