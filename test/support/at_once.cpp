#include "test/support/at_once.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <vector>

#include "test/support/catch.hpp"

namespace cni::test {
namespace {

// The end of the pipe that all wait for is the start.
[[noreturn]] void run_child(const int (&gate)[2], int number, const std::function<void(int)>& fn) {
  char byte = 0;
  (void)::close(gate[1]);
  if (::read(gate[0], &byte, 1) != 0) ::_exit(2);
  try {
    fn(number);
    ::_exit(0);
  } catch (const std::exception& error) {
    (void)::dprintf(STDERR_FILENO, "%s\n", error.what());
    ::_exit(1);
  }
}

}  // namespace

void run_at_once(int processes, const std::function<void(int)>& fn) {
  int gate[2];
  REQUIRE(::pipe(gate) == 0);
  std::vector<pid_t> children;
  for (int number = 0; number < processes; ++number) {
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) run_child(gate, number, fn);
    children.push_back(pid);
  }
  (void)::close(gate[0]);
  (void)::close(gate[1]);
  for (const pid_t pid : children) {
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
}

}  // namespace cni::test
