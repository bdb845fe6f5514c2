#include "plugins/ipam/dhcp/client.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "pkg/os/fd.hpp"

namespace cni::dhcp {
namespace {

using Clock = std::chrono::steady_clock;

// How the reference calls what is asked of a daemon, which is what users search for.
std::string_view method_of(Verb verb) {
  switch (verb) {
    case Verb::kAllocate:
      return "DHCP.Allocate";
    case Verb::kLook:
      return "DHCP.Look";
    case Verb::kRelease:
      return "DHCP.Release";
    case Verb::kStatus:
      return "DHCP.Status";
    case Verb::kCollect:
      return "DHCP.Collect";
  }
  return "DHCP";
}

NoDaemon no_daemon(const std::string& path, int error_number) {
  return NoDaemon(
      Code::kPluginNotAvailable,
      cat("error dialing DHCP daemon: connect to ", path, ": ", errno_text(error_number)),
      "start it with `systemctl enable --now cni-dhcp.socket` or `dhcp daemon`", error_number);
}

// A connection of which each step ends by the same deadline.
class Connection {
 public:
  Connection(const std::string& path, std::chrono::seconds patience)
      : patience_(patience), deadline_(Clock::now() + patience) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) throw no_daemon(path, ENAMETOOLONG);
    path.copy(address.sun_path, path.size());
    fd_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd_) throw system_error("error dialing DHCP daemon: make a socket", errno);
    // The kernel waits while the queue of a listener is full.
    const timeval limit{.tv_sec = patience.count(), .tv_usec = 0};
    (void)::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(fd_.get(), generic, sizeof address) == 0) return;
    if (errno == EAGAIN) throw too_late("error dialing DHCP daemon: ", "it takes no connections");
    throw no_daemon(path, errno);
  }

  void send(std::string_view data) const {
    while (!data.empty()) {
      await(POLLOUT, "it does not read the request");
      const ssize_t sent = ::send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent >= 0) {
        data.remove_prefix(static_cast<std::size_t>(sent));
      } else if (errno != EAGAIN && errno != EINTR) {
        throw system_error("send the request", errno, Code::kIoFailure);
      }
    }
  }

  std::string receive(std::size_t size) const {
    std::string out;
    // Memory follows what has arrived: four octets can promise much.
    std::array<char, 16384> piece{};
    while (out.size() < size) {
      await(POLLIN, "it does not answer");
      const std::size_t wanted = std::min(piece.size(), size - out.size());
      const ssize_t got = ::recv(fd_.get(), piece.data(), wanted, MSG_DONTWAIT);
      if (got > 0) {
        out.append(piece.data(), static_cast<std::size_t>(got));
      } else if (got == 0) {
        throw Error(Code::kIoFailure, "the daemon closed the connection without an answer",
                    "its log says why");
      } else if (errno != EAGAIN && errno != EINTR) {
        throw system_error("receive the answer", errno, Code::kIoFailure);
      }
    }
    return out;
  }

 private:
  Error too_late(std::string_view prefix, std::string_view why) const {
    return Error(Code::kTryAgainLater,
                 cat(prefix, "the daemon was given ", patience_.count(), " s, but ", why));
  }

  void await(short events, std::string_view why) const {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
    if (left <= 0) throw too_late("", why);
    pollfd poll{.fd = fd_.get(), .events = events, .revents = 0};
    const int ready = ::poll(&poll, 1, static_cast<int>(left));
    if (ready < 0 && errno != EINTR) throw system_error("wait for the daemon", errno);
    if (ready == 0) throw too_late("", why);
  }

  std::chrono::seconds patience_;
  Clock::time_point deadline_;
  os::Fd fd_;
};

Answer exchange(const Connection& connection, const Call& call) {
  const std::string text = to_text(call);
  connection.send(length_prefix(text.size()) + text);
  return read_answer(connection.receive(read_length_prefix(connection.receive(4))));
}

}  // namespace

Answer ask_daemon(const std::string& socket_path, const Call& call, std::chrono::seconds patience) {
  const Connection connection(socket_path, patience);
  return context(cat("error calling ", method_of(call.verb)), [&] {
    Answer answer = exchange(connection, call);
    if (answer.error) throw std::move(*answer.error);
    return answer;
  });
}

}  // namespace cni::dhcp
