#include "pkg/os/fd.hpp"

#include <poll.h>

#include <cerrno>

#include "pkg/types/error.hpp"

namespace cni::os {
namespace {

// After a failed read or write: true if it is to be tried again. A runtime may hand out streams
// that are in non-blocking mode; then this waits.
bool worth_retrying(int fd, short events) {
  if (errno == EINTR) return true;
  if (errno != EAGAIN) return false;
  pollfd polled{fd, events, 0};
  while (::poll(&polled, 1, -1) < 0) {
    if (errno != EINTR) return false;
  }
  return true;
}

}  // namespace

std::string read_all(int fd, std::string_view what) {
  std::string out;
  std::size_t used = 0;
  for (;;) {
    if (out.size() - used < 4096) out.resize(out.size() < 8192 ? 16384 : out.size() * 2);
    const ssize_t got = ::read(fd, out.data() + used, out.size() - used);
    if (got < 0 && worth_retrying(fd, POLLIN)) continue;
    if (got < 0) throw system_error(what, errno, Code::kIoFailure);
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
  }
  out.resize(used);
  return out;
}

void write_all(int fd, std::string_view data, std::string_view what) {
  while (!data.empty()) {
    const ssize_t written = ::write(fd, data.data(), data.size());
    if (written < 0 && worth_retrying(fd, POLLOUT)) continue;
    if (written < 0) throw system_error(what, errno, Code::kIoFailure);
    data.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace cni::os
