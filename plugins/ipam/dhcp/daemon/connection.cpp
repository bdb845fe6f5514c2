#include "plugins/ipam/dhcp/daemon/connection.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "plugins/ipam/dhcp/daemon/log.hpp"

namespace cni::dhcp {
namespace {

constexpr std::size_t kPrefix = 4;
constexpr std::uint32_t kGone = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

bool is_root(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == 0;
}

}  // namespace

Connections::Connections(Loop& loop, int listener, Handlers handlers, Limits limits)
    : loop_(loop), listener_(listener), handlers_(std::move(handlers)), limits_(limits) {
  watch_ = loop_.watch(listener_, EPOLLIN, [this](std::uint32_t) { accept(); });
}

void Connections::accept() {
  // Not all at once: those who are connected already want to be served too.
  constexpr int kMostAtOnce = 64;
  for (int i = 0; i < kMostAtOnce; ++i) {
    if (!accept_one()) return;
  }
}

bool Connections::accept_one() {
  os::Fd socket(::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (socket) {
    if (is_root(socket.get())) admit(std::move(socket));
    return true;
  }
  if (errno == ECONNABORTED || errno == EINTR) return true;
  if (errno == EAGAIN) return false;
  // No descriptors or no memory: the one that waits stays readable, and must not keep us busy.
  log(cat("accept a connection: ", errno_text(errno)));
  if (!drop_oldest()) pause();
  return false;
}

void Connections::pause() {
  constexpr Time kPause{100};
  watch_.change(0);
  resume_ = loop_.at(now() + kPause, [this] { watch_.change(EPOLLIN); });
}

bool Connections::drop_oldest() {
  if (reading_.empty()) return false;
  close(*reading_.begin());
  return true;
}

void Connections::admit(os::Fd socket) {
  if (connections_.size() >= limits_.most && !drop_oldest()) {
    log(cat("refused a connection: ", connections_.size(), " wait for their answers"));
    return;
  }
  const ConnectionId id = ++last_id_;
  Connection& connection = connections_[id];
  reading_.insert(id);
  connection.socket = std::move(socket);
  try {
    connection.watch = loop_.watch(connection.socket.get(), EPOLLIN | EPOLLRDHUP,
                                   [this, id](std::uint32_t events) { ready(id, events); });
    connection.deadline = loop_.at(now() + limits_.patience, [this, id] { close(id); });
  } catch (...) {
    close(id);
    throw;
  }
}

void Connections::close(ConnectionId id) {
  reading_.erase(id);
  connections_.erase(id);
}

void Connections::ready(ConnectionId id, std::uint32_t events) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  Connection& connection = found->second;
  switch (connection.phase) {
    case Phase::kReading: {
      const Progress progress = read(connection);
      if (progress == Progress::kBroken) close(id);
      if (progress == Progress::kWhole) call(id, connection);
      return;
    }
    case Phase::kCalled:
      if ((events & kGone) == 0) return;
      close(id);
      handlers_.gone(id);
      return;
    case Phase::kWriting:
      write(id, connection);
      return;
  }
}

Connections::Progress Connections::read(Connection& connection) {
  std::array<char, 16384> buffer{};
  for (;;) {  // ends with the longest message at the latest
    std::size_t wanted = kPrefix;
    if (connection.text.size() >= kPrefix) {
      try {
        wanted += read_length_prefix(std::string_view(connection.text).substr(0, kPrefix));
      } catch (const Error&) {
        return Progress::kBroken;  // whoever that is does not speak this protocol
      }
    }
    if (connection.text.size() > kPrefix && connection.text.size() == wanted) {
      return Progress::kWhole;
    }
    const std::size_t missing = std::min(wanted - connection.text.size(), buffer.size());
    const ssize_t count = ::recv(connection.socket.get(), buffer.data(), missing, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return Progress::kPart;
    if (count <= 0) return Progress::kBroken;
    connection.text.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

void Connections::call(ConnectionId id, Connection& connection) {
  connection.phase = Phase::kCalled;
  reading_.erase(id);
  connection.deadline.reset();
  // What else is sent is left unread; only the end is waited for.
  connection.watch.change(EPOLLRDHUP);
  const std::string text = std::move(connection.text);
  try {
    handlers_.called(id, read_call(std::string_view(text).substr(kPrefix)));
  } catch (const Error& error) {
    answer(id, Answer{.error = error, .lease = {}});
  } catch (const std::exception& error) {
    answer(id, Answer{.error = Error(Code::kSystemCall, error.what()), .lease = {}});
  }
}

void Connections::answer(ConnectionId id, const Answer& answer) {
  const auto found = connections_.find(id);
  if (found == connections_.end() || found->second.phase != Phase::kCalled) return;
  Connection& connection = found->second;
  const std::string text = to_text(answer);
  connection.text = length_prefix(text.size()) + text;
  connection.phase = Phase::kWriting;
  connection.deadline = loop_.at(now() + limits_.patience, [this, id] { close(id); });
  write(id, connection);
}

void Connections::write(ConnectionId id, Connection& connection) {
  while (connection.sent < connection.text.size()) {
    const std::string_view rest = std::string_view(connection.text).substr(connection.sent);
    const ssize_t count = ::send(connection.socket.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      connection.watch.change(EPOLLOUT);
      return;
    }
    if (count < 0) break;  // nobody is there to be told
    connection.sent += static_cast<std::size_t>(count);
  }
  close(id);
}

}  // namespace cni::dhcp
