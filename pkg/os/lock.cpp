#include "pkg/os/lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

#include "pkg/types/error.hpp"

namespace cni::os {
namespace {

void wait_for(const Fd& fd, const std::string& path) {
  while (::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) throw system_error(cat("lock ", path), errno, Code::kIoFailure);
  }
}

bool is_still(const Fd& fd, const std::string& path) {
  struct stat held {};
  struct stat present {};
  return ::fstat(fd.get(), &held) == 0 && ::stat(path.c_str(), &present) == 0 &&
         held.st_dev == present.st_dev && held.st_ino == present.st_ino;
}

}  // namespace

FileLock::FileLock(const std::string& path)
    : fd_(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600)) {
  if (!fd_) throw system_error(cat("open the lock ", path), errno, Code::kIoFailure);
  wait_for(fd_, path);
}

std::optional<FileLock> FileLock::find(const std::string& path) {
  for (;;) {
    Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd && errno == ENOENT) return std::nullopt;
    if (!fd) throw system_error(cat("open the lock ", path), errno, Code::kIoFailure);
    wait_for(fd, path);
    if (is_still(fd, path)) return FileLock(std::move(fd));
  }
}

}  // namespace cni::os
