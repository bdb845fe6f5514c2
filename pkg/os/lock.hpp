// Exclusive advisory lock on a file, shared with the reference plugins (flock).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "pkg/os/fd.hpp"

namespace cni::os {

// Holds flock(LOCK_EX) on a file from construction to destruction. The kernel drops it when the
// process dies.
class FileLock {
 public:
  // Opens path, creating it with mode 0600, and waits for the lock. Throws Code::kIoFailure.
  explicit FileLock(const std::string& path);

  // Waits for the lock of a file that is there, and never creates it. Absent without a file, also
  // if that was removed during the wait; of one that was replaced, the new one is locked.
  static std::optional<FileLock> find(const std::string& path);

 private:
  explicit FileLock(Fd fd) : fd_(std::move(fd)) {}

  Fd fd_;
};

// Holds flock(LOCK_EX) on a descriptor that somebody else owns, and that has to outlive it: of a
// network namespace, say, for which every path leads to one lock.
class DescriptorLock {
 public:
  // Waits for the lock. Throws Code::kIoFailure; `what` is in the message.
  DescriptorLock(int fd, std::string_view what);
  DescriptorLock(DescriptorLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  DescriptorLock& operator=(DescriptorLock&& other) = delete;
  ~DescriptorLock();

 private:
  int fd_;
};

}  // namespace cni::os
