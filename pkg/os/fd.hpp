// An owned file descriptor.
#pragma once

#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>

namespace cni::os {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    reset(std::exchange(other.fd_, -1));
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    // close() frees the descriptor whatever it returns.
    if (fd_ >= 0) (void)::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

// Reads until end of file. Throws Code::kIoFailure with `what` in the message.
std::string read_all(int fd, std::string_view what);

// Writes everything; goes on after short writes and interruptions. Throws Code::kIoFailure with
// `what` in the message.
void write_all(int fd, std::string_view data, std::string_view what);

}  // namespace cni::os
