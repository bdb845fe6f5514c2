#include "pkg/os/lock.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

#include "pkg/types/error.hpp"

namespace cni::os {

FileLock::FileLock(const std::string& path)
    : fd_(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600)) {
  if (!fd_) throw system_error(cat("open the lock ", path), errno, Code::kIoFailure);
  while (::flock(fd_.get(), LOCK_EX) != 0) {
    if (errno != EINTR) throw system_error(cat("lock ", path), errno, Code::kIoFailure);
  }
}

}  // namespace cni::os
