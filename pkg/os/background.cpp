#include "pkg/os/background.hpp"

#include <linux/io_uring.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>

namespace cni::os {
namespace {

// PROC_PID_INIT_INO of the kernel's include/linux/proc_ns.h: the PID namespace it starts with.
constexpr ino_t kMachinesPidNamespace = 0xEFFFFFFC;

bool is_in_machines_pid_namespace() {
  struct stat status {};
  return ::stat("/proc/self/ns/pid", &status) == 0 && status.st_ino == kMachinesPidNamespace;
}

// Whoever reads our output would wait for this process too if it held the other end.
void close_all_but(int kept) {
  const auto number = static_cast<unsigned>(kept);
  if (number > 0) (void)::syscall(SYS_close_range, 0U, number - 1, 0U);
  if (::syscall(SYS_close_range, number + 1, ~0U, 0U) == 0) return;
  // Linux before 5.9.
  constexpr int kUsualLimit = 1024;
  for (int fd = 0; fd < kUsualLimit; ++fd) {
    if (fd != kept) (void)::close(fd);
  }
}

}  // namespace

void close_in_background(Fd fd) {
  // A ring keeps a reference to each file that is registered with it, and gives it up on a work
  // queue after the ring itself was closed. So the last reference is the worker's, and what the
  // file's release waits for is the worker's to wait for.
  io_uring_params params{};
  const Fd ring(static_cast<int>(::syscall(SYS_io_uring_setup, 1, &params)));
  if (!ring) return;
  const int registered = fd.get();
  (void)::syscall(SYS_io_uring_register, ring.get(), IORING_REGISTER_FILES, &registered, 1);
}

BackgroundSend::BackgroundSend(int socket, std::string_view data) {
  if (!is_in_machines_pid_namespace()) return;
  pid_ = ::_Fork();
  if (pid_ == 0) {
    close_all_but(socket);
    (void)::send(socket, data.data(), data.size(), 0);
    ::_exit(0);
  }
  was_begun_ = pid_ > 0;
}

BackgroundSend::~BackgroundSend() { (void)has_ended(); }

bool BackgroundSend::has_ended() {
  if (pid_ < 0) return true;
  if (::waitpid(pid_, nullptr, WNOHANG) == 0) return false;
  pid_ = -1;
  return true;
}

}  // namespace cni::os
