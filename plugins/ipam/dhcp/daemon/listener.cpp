#include "plugins/ipam/dhcp/daemon/listener.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

#include "pkg/os/file.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/types/error.hpp"

namespace cni::dhcp {
namespace {

// SD_LISTEN_FDS_START of sd_listen_fds(3).
constexpr int kFirstPassed = 3;

std::optional<int> number(const std::vector<std::string>& environment, std::string_view name) {
  const std::string text = skel::environment_value(environment, name);
  int out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

int socket_option(int fd, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

// Absent if systemd has passed nothing to this process.
os::Fd passed_socket(const std::vector<std::string>& environment) {
  const std::optional<int> count = number(environment, "LISTEN_FDS");
  if (number(environment, "LISTEN_PID") != ::getpid() || !count || *count <= 0) return {};
  if (*count > 1) {
    throw Error(Code::kConflict, cat("Too many (", *count,
                                     ") FDs passed through socket activation: the socket unit "
                                     "has one ListenStream"));
  }
  os::Fd fd(kFirstPassed);
  if (socket_option(fd.get(), SO_DOMAIN) != AF_UNIX ||
      socket_option(fd.get(), SO_TYPE) != SOCK_STREAM ||
      socket_option(fd.get(), SO_ACCEPTCONN) != 1) {
    (void)fd.release();  // whoever it belongs to
    throw Error(Code::kConflict,
                "descriptor 3, passed through socket activation, is no listening unix stream "
                "socket: use ListenStream with a path");
  }
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0 ||
      ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC) != 0) {
    throw system_error("set the flags of the passed socket", errno);
  }
  return fd;
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof out.sun_path) {
    throw Error(Code::kInvalidEnvironment,
                cat("socket path ", quote(path), " has ", path.size(),
                    " characters: between 1 and ", sizeof out.sun_path - 1, " are possible"));
  }
  std::memcpy(out.sun_path, path.data(), path.size());
  return out;
}

os::Fd new_socket() {
  os::Fd out(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!out) throw system_error("make a unix socket", errno);
  return out;
}

Error taken(const std::string& path, std::string_view why) {
  return Error(Code::kConflict, cat("a dhcp daemon already listens on ", path, why));
}

// Two daemons that start at once must not each take the other's socket for an abandoned one.
os::Fd lock_path(const std::string& path) {
  const std::string name = path + ".lock";
  os::Fd lock(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (!lock) throw system_error(cat("open ", name), errno, Code::kIoFailure);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno == EWOULDBLOCK) throw taken(path, cat(" (it holds ", name, ")"));
  throw system_error(cat("lock ", name), errno, Code::kIoFailure);
}

// Removes a socket that nobody listens on.
void clear(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return;
    throw system_error(cat("look at ", path), errno, Code::kIoFailure);
  }
  if (!S_ISSOCK(status.st_mode)) {
    throw Error(Code::kConflict,
                cat(path, " is there and is no socket: remove it, or choose another -socketpath"));
  }
  const sockaddr_un address = address_of(path);
  const os::Fd probe = new_socket();
  const int connected =
      ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  // EAGAIN: more wait for it already than it allows. EPROTOTYPE: a socket of another type.
  if (connected == 0 || errno == EAGAIN) throw taken(path, "");
  if (errno == ENOENT) return;
  if (errno != ECONNREFUSED) {
    throw system_error(cat("find out whether somebody listens on ", path), errno, Code::kConflict);
  }
  (void)os::remove_file(path);  // gone meanwhile is as well
}

}  // namespace

Listener Listener::open(const std::string& path, const std::vector<std::string>& environment) {
  Listener out;
  out.socket_ = passed_socket(environment);
  if (!out.socket_) out.listen(path);
  return out;
}

void Listener::listen(const std::string& path) {
  const sockaddr_un address = address_of(path);
  os::make_directories(os::folder_of(path));
  lock_ = lock_path(path);
  clear(path);
  socket_ = new_socket();
  // bind() makes the file with what the umask leaves: no moment in which others could open it.
  const mode_t before = ::umask(0177);
  const int bound =
      ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = errno;
  (void)::umask(before);
  if (bound != 0) throw system_error(cat("listen on ", path), error, Code::kIoFailure);
  path_ = path;
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) {
    device_ = status.st_dev;
    inode_ = status.st_ino;
  }
  if (::listen(socket_.get(), SOMAXCONN) != 0) {
    throw system_error(cat("listen on ", path), errno, Code::kIoFailure);
  }
}

Listener::~Listener() {
  if (!socket_ || path_.empty()) return;
  struct stat status {};
  if (::lstat(path_.c_str(), &status) != 0) return;
  if (status.st_dev != device_ || status.st_ino != inode_) return;
  (void)::unlink(path_.c_str());  // the process ends; nobody could do anything about it
}

Pidfile::Pidfile(std::string path) : path_(std::move(path)) {
  const std::string what = cat("Error writing pidfile ", quote(path_));
  if (!path_.starts_with('/')) {
    throw Error(Code::kInvalidEnvironment, cat(what, ": path not absolute"));
  }
  context(what, [&] {
    os::replace_file(path_, std::to_string(::getpid()), os::Flush::kNo);
    if (::chmod(path_.c_str(), 0644) != 0) {
      throw system_error("set its mode", errno, Code::kIoFailure);
    }
  });
}

Pidfile::~Pidfile() {
  try {
    if (os::read_file(path_) == std::to_string(::getpid())) (void)os::remove_file(path_);
  } catch (const Error&) {
    // A file that cannot be read or removed is left: the process ends.
    return;
  }
}

}  // namespace cni::dhcp
