// The socket that the daemon answers on, and the file with its process id.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "pkg/os/fd.hpp"

namespace cni::dhcp {

// A listening, non-blocking unix socket: the one that systemd passed (sd_listen_fds(3)), or else
// one of our own at `path`, which nobody but root can open from its first moment on.
class Listener {
 public:
  // `environment` holds LISTEN_PID and LISTEN_FDS, if there are any. Makes the folder (mode 0700).
  // Takes the place of a socket that nobody listens on; throws Code::kConflict if somebody does,
  // if another daemon is about to, or if there is something that is no socket, which is left alone.
  static Listener open(const std::string& path, const std::vector<std::string>& environment);
  Listener(Listener&& other) noexcept = default;
  Listener& operator=(Listener&& other) = delete;
  // Removes the socket's file if it was made here and has not been replaced since.
  ~Listener();

  int fd() const { return socket_.get(); }

 private:
  Listener() = default;
  void listen(const std::string& path);

  os::Fd lock_;  // on `<path>.lock`, for as long as we listen
  os::Fd socket_;
  std::string path_;  // empty: not ours to remove
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// A file with this process's id, without a newline, mode 0644; never seen half written.
class Pidfile {
 public:
  // Throws `Error writing pidfile "PATH": ...`.
  explicit Pidfile(std::string path);
  Pidfile(const Pidfile&) = delete;
  Pidfile& operator=(const Pidfile&) = delete;
  // Removes it, unless it has another process's id in it by now.
  ~Pidfile();

 private:
  std::string path_;
};

}  // namespace cni::dhcp
