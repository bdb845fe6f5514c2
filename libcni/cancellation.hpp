// Stopping a call from another thread or a signal handler.
#pragma once

#include "pkg/os/fd.hpp"

namespace cni::libcni {

class Cancellation {
 public:
  // Throws Code::kSystemCall without a free file descriptor.
  Cancellation();

  // Kills the plugins that calls with this cancellation are running, and lets them run no more.
  // Safe in a signal handler; may be repeated.
  void cancel() const noexcept;
  bool is_cancelled() const noexcept;
  // Readable once cancelled.
  int fd() const { return event_.get(); }

 private:
  os::Fd event_;
};

}  // namespace cni::libcni
