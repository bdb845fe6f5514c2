#include "cnitool/confirm.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "pkg/os/fd.hpp"
#include "pkg/types/error.hpp"

namespace cni::cnitool {
namespace {

// Up to a newline, or to the end of the file. A signal ends the waiting.
std::string read_until(const Surroundings& surroundings, bool newline) {
  const int cancel_fd = surroundings.cancellation != nullptr ? surroundings.cancellation->fd() : -1;
  std::string out;
  for (;;) {
    std::array<pollfd, 2> polled = {pollfd{surroundings.in, POLLIN, 0},
                                    pollfd{cancel_fd, POLLIN, 0}};
    const int ready = ::poll(polled.data(), polled.size(), -1);
    if (ready < 0 && errno == EINTR) continue;
    if (polled[1].revents != 0) throw Error(Code::kIoFailure, "interrupted");
    std::array<char, 4096> buffer;
    const ssize_t got = ::read(surroundings.in, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw system_error("read stdin", errno, Code::kIoFailure);
    if (got == 0) return out;
    out.append(buffer.data(), static_cast<std::size_t>(got));
    if (newline && out.find('\n') != std::string::npos) return out;
  }
}

}  // namespace

bool confirm(const Surroundings& surroundings, std::string_view text, std::string_view instead) {
  os::write_all(surroundings.err, text, "write to stderr");
  if (::isatty(surroundings.in) != 1) {
    throw Error(Code::kInvalidEnvironment,
                cat("nothing was removed, since nobody can be asked: ", instead));
  }
  os::write_all(surroundings.err, "Go on? [y/N] ", "write to stderr");
  const std::string answer = read_until(surroundings, true);
  return answer.starts_with('y') || answer.starts_with('Y');
}

std::string read_stdin(const Surroundings& surroundings) { return read_until(surroundings, false); }

}  // namespace cni::cnitool
