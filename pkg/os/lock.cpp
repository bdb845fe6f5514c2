#include "pkg/os/lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

#include "pkg/types/error.hpp"

namespace cni::os {
namespace {

void wait_for(int fd, std::string_view what) {
  while (::flock(fd, LOCK_EX) != 0) {
    if (errno != EINTR) throw system_error(cat("lock ", what), errno, Code::kIoFailure);
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
  wait_for(fd_.get(), path);
}

std::optional<FileLock> FileLock::find(const std::string& path) {
  for (;;) {
    Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd && errno == ENOENT) return std::nullopt;
    if (!fd) throw system_error(cat("open the lock ", path), errno, Code::kIoFailure);
    wait_for(fd.get(), path);
    if (is_still(fd, path)) return FileLock(std::move(fd));
  }
}

DescriptorLock::DescriptorLock(int fd, std::string_view what) : fd_(fd) { wait_for(fd, what); }

DescriptorLock::~DescriptorLock() {
  if (fd_ != -1) (void)::flock(fd_, LOCK_UN);  // closing the descriptor does it too
}

}  // namespace cni::os
