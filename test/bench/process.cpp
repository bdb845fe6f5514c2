#include "test/bench/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

#include "pkg/types/error.hpp"

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;

// A file in memory, positioned at its start.
cni::os::Fd memory_file(const std::string& content) {
  cni::os::Fd fd(::memfd_create("bench", MFD_CLOEXEC));
  if (!fd ||
      ::write(fd.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size())) {
    throw std::runtime_error("no memory file");
  }
  (void)::lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

std::string content_of(const cni::os::Fd& fd) {
  (void)::lseek(fd.get(), 0, SEEK_SET);
  return cni::os::read_all(fd.get(), "output");
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

void expect_success(const Call& call, int status, const cni::os::Fd& output) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  std::string environment;
  for (const std::string& variable : call.environment) environment += variable + " ";
  throw std::runtime_error(
      cni::cat("failed: ", environment, call.path, " <<<'", call.input, "': ", content_of(output)));
}

// VmHWM of /proc/PID/status.
long high_water_mark(pid_t pid) {
  const cni::os::Fd fd(::open(cni::cat("/proc/", pid, "/status").c_str(), O_RDONLY | O_CLOEXEC));
  const std::string status = cni::os::read_all(fd.get(), "process status");
  const auto at = status.find("VmHWM:");
  if (at == std::string::npos) throw std::runtime_error("no VmHWM of a running process");
  return std::strtol(status.c_str() + at + 6, nullptr, 10);
}

// The child's part of peak_memory_of. Returns only on failure.
void become(const Call& call, int input, int output) {
  Call copy = call;
  std::vector<std::string> arguments{call.path};
  (void)::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
  (void)::dup2(input, STDIN_FILENO);
  (void)::dup2(output, STDOUT_FILENO);
  ::execve(call.path.c_str(), pointers(arguments).data(), pointers(copy.environment).data());
}

}  // namespace

Duration time_of(const Call& call, std::string* printed) {
  Call copy = call;
  std::vector<std::string> arguments{call.path};
  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> environment = pointers(copy.environment);
  const cni::os::Fd input = memory_file(call.input);
  const cni::os::Fd output = memory_file("");
  posix_spawn_file_actions_t actions;
  (void)::posix_spawn_file_actions_init(&actions);
  (void)::posix_spawn_file_actions_adddup2(&actions, input.get(), STDIN_FILENO);
  (void)::posix_spawn_file_actions_adddup2(&actions, output.get(), STDOUT_FILENO);

  pid_t child = 0;
  int status = 0;
  const auto start = Clock::now();
  const int error =
      ::posix_spawn(&child, call.path.c_str(), &actions, nullptr, argv.data(), environment.data());
  if (error == 0) (void)::waitpid(child, &status, 0);
  const auto end = Clock::now();

  (void)::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error(cni::cat("cannot start ", call.path));
  expect_success(call, status, output);
  if (printed != nullptr) *printed = content_of(output);
  return end - start;
}

long peak_memory_of(const Call& call) {
  const cni::os::Fd input = memory_file(call.input);
  const cni::os::Fd output = memory_file("");
  const pid_t child = ::fork();
  if (child == 0) {
    become(call, input.get(), output.get());
    ::_exit(127);
  }
  int status = 0;
  // It stops at execve, and from then on also when it is about to end.
  (void)::waitpid(child, &status, 0);
  (void)::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACEEXIT);
  long peak = 0;
  int signal = 0;
  while (!WIFEXITED(status) && !WIFSIGNALED(status)) {
    (void)::ptrace(PTRACE_CONT, child, nullptr, signal);
    (void)::waitpid(child, &status, 0);
    signal = 0;
    if (!WIFSTOPPED(status)) continue;
    if (status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXIT << 8))) {
      peak = high_water_mark(child);
    } else {
      signal = WSTOPSIG(status);
    }
  }
  expect_success(call, status, output);
  return peak;
}

}  // namespace bench
