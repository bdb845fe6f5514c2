// A dhcp daemon in a process of its own, and its clients.
#pragma once

#include "plugins/ipam/dhcp/daemon/daemon.hpp"

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "pkg/os/file.hpp"
#include "plugins/ipam/dhcp/exchange.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/netns_fixture.hpp"

namespace cni::dhcp {
inline os::Fd connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(path.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, path.data(), path.size());
  os::Fd out(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{5, 0};
  (void)::setsockopt(out.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (::connect(out.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return {};
  }
  return out;
}

inline void send_text(const os::Fd& to, std::string_view text) {
  (void)!::send(to.get(), text.data(), text.size(), MSG_NOSIGNAL);
}

// What arrives until the other end closes.
inline std::string receive_text(const os::Fd& from) {
  std::string out;
  char buffer[4096];
  for (;;) {
    const ssize_t count = ::recv(from.get(), buffer, sizeof buffer, 0);
    if (count <= 0) return out;
    out.append(buffer, static_cast<std::size_t>(count));
  }
}

// A daemon in a process of its own, as main() runs it.
class Daemon {
 public:
  explicit Daemon(const std::string& folder, std::vector<std::string> more = {})
      : socket_(folder + "/run/dhcp.sock"), log_(folder + "/log") {
    std::vector<std::string> words{"dhcp", "daemon", "-socketpath=" + socket_,
                                   "-statedir=" + folder + "/state"};
    words.insert(words.end(), more.begin(), more.end());
    pid_ = ::fork();
    if (pid_ != 0) return;
    (void)!::freopen(log_.c_str(), "a", stderr);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    ::_exit(run(static_cast<int>(argv.size()), argv.data()));
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon() {
    if (pid_ > 0) (void)end(SIGKILL);
  }

  const std::string& socket() const { return socket_; }
  std::string log() const { return os::read_file(log_).value_or(""); }
  pid_t pid() const { return pid_; }

  void await() const {
    for (int i = 0; i < 500; ++i) {
      if (connect_to(socket_)) {
        (void)ask({});  // by then it has taken note that the connection before is gone
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    FAIL("the daemon does not listen: " + log());
  }
  // Its exit status.
  int end(int signal) {
    if (signal != 0) (void)::kill(pid_, signal);
    int status = 0;
    REQUIRE(::waitpid(pid_, &status, 0) == pid_);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::size_t descriptors() const {
    return os::list_directory("/proc/" + std::to_string(pid_) + "/fd").size();
  }
  long processor_ticks() const {
    const std::string text = os::read_file("/proc/" + std::to_string(pid_) + "/stat").value_or("");
    long user = 0;
    long system = 0;
    REQUIRE(std::sscanf(text.c_str() + text.rfind(')'),
                        ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user,
                        &system) == 2);
    return user + system;
  }
  long resident_pages() const {
    long size = 0;
    long resident = 0;
    const std::string text = os::read_file("/proc/" + std::to_string(pid_) + "/statm").value_or("");
    REQUIRE(std::sscanf(text.c_str(), "%ld %ld", &size, &resident) == 2);
    return resident;
  }
  Answer ask(const Call& call) const {
    const os::Fd connection = connect_to(socket_);
    REQUIRE(connection);
    const std::string text = to_text(call);
    send_text(connection, length_prefix(text.size()) + text);
    const std::string answer = receive_text(connection);
    REQUIRE(answer.size() > 4);
    REQUIRE(read_length_prefix(answer.substr(0, 4)) == answer.size() - 4);
    return read_answer(answer.substr(4));
  }

 private:
  std::string socket_;
  std::string log_;
  pid_t pid_ = -1;
};

}  // namespace cni::dhcp
