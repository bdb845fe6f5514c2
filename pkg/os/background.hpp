// Requests of which only the kernel's own waiting is left: begun here, waited for elsewhere.
#pragma once

#include <string_view>

#include "pkg/os/fd.hpp"

namespace cni::os {

// Closes a descriptor whose release the kernel takes long over, without waiting for it: a worker of
// the kernel's releases it soon after this returns, also if the process has ended by then. Where
// io_uring is absent or forbidden it is closed as any other, which waits.
void close_in_background(Fd fd);

// One message, sent by a process of its own: for a socket on which send waits longer than its
// effect takes. The process has no other descriptor of ours, runs no program, and ends as soon as
// send returns; killing it does not end a request that the kernel is at.
class BackgroundSend {
 public:
  // Does nothing if the process would be left to one that may never take note of its end: outside
  // the machine's own PID namespace, where a program that knows nothing of this duty may be PID 1.
  // Nor if no process can be made.
  BackgroundSend(int socket, std::string_view data);
  BackgroundSend(const BackgroundSend&) = delete;
  BackgroundSend& operator=(const BackgroundSend&) = delete;
  // Does not wait for the process.
  ~BackgroundSend();

  bool was_begun() const { return was_begun_; }
  // Has send returned, or failed?
  bool has_ended();

 private:
  bool was_begun_ = false;
  int pid_ = -1;  // -1: none, or waited for
};

}  // namespace cni::os
