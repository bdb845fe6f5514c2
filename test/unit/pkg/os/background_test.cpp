#include "pkg/os/background.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>
#include <thread>

#include "test/support/catch.hpp"
#include "test/support/skip.hpp"

namespace cni::os {
namespace {

struct Pair {
  Pair() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    ours.reset(ends[0]);
    theirs.reset(ends[1]);
  }
  Fd ours;
  Fd theirs;
};

bool is_readable(int fd, int milliseconds) {
  pollfd polled{fd, POLLIN, 0};
  return ::poll(&polled, 1, milliseconds) == 1;
}

// So that the next send waits.
void fill(int socket) {
  const std::string data(1024, 'x');
  while (::send(socket, data.data(), data.size(), MSG_DONTWAIT) > 0) {
  }
}

void drain(int socket) {
  std::array<char, 2048> data{};
  while (::recv(socket, data.data(), data.size(), MSG_DONTWAIT) > 0) {
  }
}

bool ends_soon(BackgroundSend& sender) {
  for (int i = 0; i < 500; ++i) {
    if (sender.has_ended()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

bool is_machines_pid_namespace() {
  std::array<char, 64> target{};
  return ::readlink("/proc/self/ns/pid", target.data(), target.size()) > 0 &&
         std::string(target.data()) == "pid:[4026531836]";
}

TEST_CASE("a message is sent in the background and arrives whole") {
  if (!is_machines_pid_namespace()) test::skip("needs the machine's own PID namespace");
  const Pair pair;
  BackgroundSend sender(pair.ours.get(), "hello");
  REQUIRE(sender.was_begun());
  REQUIRE(is_readable(pair.theirs.get(), 5000));
  std::array<char, 16> data{};
  CHECK(::recv(pair.theirs.get(), data.data(), data.size(), 0) == 5);
  CHECK(std::string(data.data()) == "hello");
  CHECK(ends_soon(sender));
}

TEST_CASE("a send that waits holds up neither its caller nor who reads the caller's output") {
  if (!is_machines_pid_namespace()) test::skip("needs the machine's own PID namespace");
  const Pair pair;
  fill(pair.ours.get());
  Fd output;
  {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    output.reset(ends[0]);
    const Fd written(ends[1]);
    BackgroundSend sender(pair.ours.get(), "hello");
    REQUIRE(sender.was_begun());
    CHECK_FALSE(sender.has_ended());
  }
  // End of file: the process in the background has no copy of the other end.
  REQUIRE(is_readable(output.get(), 5000));
  char none = 0;
  CHECK(::read(output.get(), &none, 1) == 0);
  drain(pair.theirs.get());
}

TEST_CASE("a send that failed has ended") {
  if (!is_machines_pid_namespace()) test::skip("needs the machine's own PID namespace");
  Pair pair;
  pair.theirs.reset();
  BackgroundSend sender(pair.ours.get(), "hello");
  REQUIRE(sender.was_begun());
  CHECK(ends_soon(sender));
}

TEST_CASE("nothing is left to a PID namespace whose first process may not reap it") {
  // A child of this process is the first of a new PID namespace; it says by its exit status whether
  // a process was begun.
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (::unshare(CLONE_NEWPID) != 0) ::_exit(2);
    const pid_t first = ::fork();
    if (first == 0) {
      int ends[2];
      if (::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0) ::_exit(2);
      ::_exit(BackgroundSend(ends[0], "hello").was_begun() ? 1 : 0);
    }
    int status = 0;
    (void)::waitpid(first, &status, 0);
    ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 2);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 2) test::skip("needs the right to make a PID namespace");
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("a descriptor that is closed in the background is closed here and soon everywhere") {
  Pair pair;
  const int number = pair.ours.get();
  close_in_background(std::move(pair.ours));
  CHECK(::fcntl(number, F_GETFD) == -1);
  // The other end sees the last reference go.
  REQUIRE(is_readable(pair.theirs.get(), 5000));
  char none = 0;
  CHECK(::recv(pair.theirs.get(), &none, 1, 0) == 0);
}

}  // namespace
}  // namespace cni::os
