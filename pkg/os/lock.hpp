// Exclusive advisory lock on a file, shared with the reference plugins (flock).
#pragma once

#include <string>

#include "pkg/os/fd.hpp"

namespace cni::os {

// Holds flock(LOCK_EX) on a file from construction to destruction. The kernel drops it when the
// process dies.
class FileLock {
 public:
  // Opens path, creating it with mode 0600, and waits for the lock. Throws Code::kIoFailure.
  explicit FileLock(const std::string& path);

 private:
  Fd fd_;
};

}  // namespace cni::os
