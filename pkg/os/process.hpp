// Running other programs: argv, never a shell.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/os/fd.hpp"

namespace cni::os {

struct Exit {
  int status = 0;  // exit status if not ended by a signal
  int signal = 0;  // the signal that ended it, or 0
  std::string out;
  std::string err;
  // Why it was ended by us, with SIGKILL.
  enum class Stop { kNone, kTimeout, kCancelled } stop = Stop::kNone;

  bool ok() const { return status == 0 && signal == 0; }
  // "exit status 2" or "signal: killed".
  std::string describe() const;
};

struct Command {
  std::string path;                                     // executable
  std::vector<std::string> argv;                        // argv[0] included
  std::string input;                                    // its standard input
  std::optional<std::vector<std::string>> environment;  // absent: this process's
  // Its own process group, so that what it runs in turn is killed with it.
  bool process_group = false;
};

// When to give a program up.
struct Limits {
  std::optional<std::chrono::steady_clock::time_point> deadline;
  int cancel_fd = -1;  // readable once the program is to be killed
};

// A running program. It has no other descriptors of ours and an empty signal mask.
class Process {
 public:
  // An executable that is being written cannot be run for a moment (ETXTBSY), which is waited for
  // up to two seconds. Throws Code::kDelegateFailed if it cannot be started (sys_errno tells why).
  explicit Process(const Command& command);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  // A program that has not been given its input yet is killed; another is waited for.
  ~Process();

  // Gives it its input, or the start of a long one, which finish goes on with. Until then it waits
  // if it reads its input first.
  void begin();
  // Waits for its end, after begin if that was not called; collects stdout and stderr. Kills it,
  // with its process group if it has its own, when a limit is reached. To be called once.
  Exit finish(const Limits& limits = {});

 private:
  int wait();
  void kill() const;
  void exchange(const Limits& limits, Exit& result);
  void await_end(const Limits& limits, Exit& result);
  void give_up(Exit::Stop why, Exit& result) const;

  std::string input_;
  std::string_view rest_;  // what of input_ is not written yet
  Fd in_;
  Fd out_;
  Fd err_;
  int pid_ = -1;  // -1: waited for
  bool begun_ = false;
  bool process_group_ = false;
};

// Runs the command and waits for its end; throws as Process does.
Exit run(const Command& command);

// The first executable regular file of that name in a colon-separated list of folders; empty
// elements are skipped.
std::optional<std::string> find_program(std::string_view name, std::string_view search_path);

}  // namespace cni::os
