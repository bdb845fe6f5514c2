#include "libcni/cancellation.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "pkg/types/error.hpp"

namespace cni::libcni {

Cancellation::Cancellation() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!event_) throw system_error("create an event descriptor", errno);
}

void Cancellation::cancel() const noexcept {
  // The counter can only be full if it was cancelled before.
  (void)::eventfd_write(event_.get(), 1);
}

bool Cancellation::is_cancelled() const noexcept {
  pollfd polled{event_.get(), POLLIN, 0};
  return ::poll(&polled, 1, 0) > 0;
}

}  // namespace cni::libcni
