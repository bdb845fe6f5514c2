#include "pkg/os/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

#include "pkg/types/error.hpp"

namespace cni::os {
namespace {

struct Pipe {
  Fd read;
  Fd write;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw system_error("create a pipe", errno, Code::kDelegateFailed);
  }
  return {Fd(ends[0]), Fd(ends[1])};
}

std::vector<char*> c_strings(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  // posix_spawn does not write to them; its signature is older than const.
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

// What posix_spawn needs for a child with our three pipes, default signals and nothing else.
class SpawnSetup {
 public:
  SpawnSetup(int in, int out, int err, bool process_group) {
    (void)posix_spawn_file_actions_init(&actions_);
    (void)posix_spawnattr_init(&attributes_);
    check(posix_spawn_file_actions_adddup2(&actions_, in, STDIN_FILENO));
    check(posix_spawn_file_actions_adddup2(&actions_, out, STDOUT_FILENO));
    check(posix_spawn_file_actions_adddup2(&actions_, err, STDERR_FILENO));
    // Also what a careless caller left open across exec.
    check(posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1));
    sigset_t none;
    sigset_t reset;
    (void)sigemptyset(&none);
    (void)sigemptyset(&reset);
    (void)sigaddset(&reset, SIGPIPE);
    check(posix_spawnattr_setsigmask(&attributes_, &none));
    check(posix_spawnattr_setsigdefault(&attributes_, &reset));
    int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (process_group) flags |= POSIX_SPAWN_SETPGROUP;  // group 0: one named after the child itself
    check(posix_spawnattr_setflags(&attributes_, static_cast<short>(flags)));
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;
  ~SpawnSetup() {
    (void)posix_spawn_file_actions_destroy(&actions_);
    (void)posix_spawnattr_destroy(&attributes_);
  }

  pid_t spawn(const Command& command) {
    const std::vector<char*> argv = c_strings(command.argv);
    std::vector<char*> environment;
    if (command.environment) environment = c_strings(*command.environment);
    pid_t pid = 0;
    const int error = posix_spawn(&pid, command.path.c_str(), &actions_, &attributes_, argv.data(),
                                  command.environment ? environment.data() : environ);
    if (error != 0) throw system_error(cat("run ", command.path), error, Code::kDelegateFailed);
    return pid;
  }

 private:
  static void check(int error) {
    if (error != 0) throw system_error("prepare a child process", error, Code::kDelegateFailed);
  }

  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

// One read from a pipe whose other end may be closed; closes ours at end of file.
void read_some(Fd& from, std::string& into) {
  std::array<char, 16384> buffer;
  const ssize_t got = ::read(from.get(), buffer.data(), buffer.size());
  if (got > 0) {
    into.append(buffer.data(), static_cast<std::size_t>(got));
  } else if (got == 0 || (errno != EINTR && errno != EAGAIN)) {
    from.reset();
  }
}

void write_some(Fd& to, std::string_view& rest) {
  const ssize_t written = ::write(to.get(), rest.data(), rest.size());
  if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
  // A child that does not read its input is not an error: EPIPE just ends the writing.
  const bool failed = written < 0 && errno != EINTR && errno != EAGAIN;
  if (rest.empty() || failed) to.reset();
}

// Keeps the SIGPIPE of a child that does not read its input from ending this process, whatever its
// own handling of the signal.
class PipeSignalBlock {
 public:
  PipeSignalBlock() {
    (void)sigemptyset(&pipe_);
    (void)sigaddset(&pipe_, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe_, &old_);
  }
  PipeSignalBlock(const PipeSignalBlock&) = delete;
  PipeSignalBlock& operator=(const PipeSignalBlock&) = delete;
  ~PipeSignalBlock() {
    // One that came meanwhile is ours, unless the caller had blocked the signal too.
    const timespec now{};
    if (sigismember(&old_, SIGPIPE) == 0) (void)sigtimedwait(&pipe_, nullptr, &now);
    (void)pthread_sigmask(SIG_SETMASK, &old_, nullptr);
  }

 private:
  sigset_t pipe_{};
  sigset_t old_{};
};

// What poll is to wait at most, in milliseconds; -1: forever.
int time_left(const Limits& limits) {
  using std::chrono::milliseconds;
  if (!limits.deadline) return -1;
  const auto left =
      std::chrono::ceil<milliseconds>(*limits.deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp(left, milliseconds(0), milliseconds(INT_MAX)).count());
}

// An executable that is being replaced cannot be run for a moment.
pid_t spawn_patiently(SpawnSetup& setup, const Command& command) {
  constexpr int kMaxAttempts = 15;
  for (int attempt = 0;; ++attempt) {
    try {
      return setup.spawn(command);
    } catch (const Error& error) {
      if (error.sys_errno != ETXTBSY || attempt == kMaxAttempts) throw;
    }
    const timespec duration{0, 1'000'000L << (attempt < 8 ? attempt : 8)};
    (void)::nanosleep(&duration, nullptr);  // a shorter pause does no harm
  }
}

}  // namespace

std::string Exit::describe() const {
  if (signal == 0) return cat("exit status ", status);
  const char* text = sigdescr_np(signal);
  std::string name = text != nullptr ? text : cat("signal ", signal);
  if (!name.empty() && name[0] >= 'A' && name[0] <= 'Z') name[0] = static_cast<char>(name[0] + 32);
  return cat("signal: ", name);
}

Process::Process(const Command& command)
    : input_(command.input), rest_(input_), process_group_(command.process_group) {
  Pipe in = make_pipe();
  Pipe out = make_pipe();
  Pipe err = make_pipe();
  SpawnSetup setup(in.read.get(), out.write.get(), err.write.get(), process_group_);
  pid_ = spawn_patiently(setup, command);
  in_ = std::move(in.write);
  out_ = std::move(out.read);
  err_ = std::move(err.read);
}

Process::~Process() {
  if (pid_ < 0) return;
  if (!begun_) kill();
  try {
    (void)finish();
  } catch (const std::exception&) {
    // Nobody asks for its end any more.
  }
}

void Process::begin() {
  begun_ = true;
  const PipeSignalBlock block;
  // Most inputs fit the pipe at once; then there is nothing to poll for.
  (void)::fcntl(in_.get(), F_SETFL, O_NONBLOCK);
  write_some(in_, rest_);
}

int Process::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) throw system_error("wait for a child", errno, Code::kDelegateFailed);
  }
  pid_ = -1;
  return status;
}

void Process::kill() const { (void)::kill(process_group_ ? -pid_ : pid_, SIGKILL); }

// Feeds and drains the child until it has closed both outputs or a limit is reached.
void Process::exchange(const Limits& limits, Exit& result) {
  const PipeSignalBlock block;
  while (out_ || err_) {
    std::array<pollfd, 4> polled = {pollfd{out_.get(), POLLIN, 0}, pollfd{err_.get(), POLLIN, 0},
                                    pollfd{in_.get(), POLLOUT, 0},
                                    pollfd{limits.cancel_fd, POLLIN, 0}};
    const int ready = ::poll(polled.data(), polled.size(), time_left(limits));
    if (ready < 0) {
      // The kernel is out of memory for a moment, or a signal came. Giving up would leave the child
      // running behind our back.
      if (errno != EINTR) (void)::poll(nullptr, 0, 1);
      continue;
    }
    if (ready == 0) return give_up(Exit::Stop::kTimeout, result);
    if (polled[3].revents != 0) return give_up(Exit::Stop::kCancelled, result);
    if (polled[0].revents != 0) read_some(out_, result.out);
    if (polled[1].revents != 0) read_some(err_, result.err);
    if (in_ && polled[2].revents != 0) write_some(in_, rest_);
  }
}

void Process::give_up(Exit::Stop why, Exit& result) const {
  result.stop = why;
  kill();
}

// For a child that has closed its outputs but goes on.
void Process::await_end(const Limits& limits, Exit& result) {
  if (result.stop != Exit::Stop::kNone || (!limits.deadline && limits.cancel_fd < 0)) return;
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (!pidfd) return;  // a kernel before 5.3: it is waited for without limits
  for (;;) {
    std::array<pollfd, 2> polled = {pollfd{pidfd.get(), POLLIN, 0},
                                    pollfd{limits.cancel_fd, POLLIN, 0}};
    const int ready = ::poll(polled.data(), polled.size(), time_left(limits));
    if (ready < 0) continue;
    if (ready == 0) return give_up(Exit::Stop::kTimeout, result);
    if (polled[0].revents != 0) return;
    return give_up(Exit::Stop::kCancelled, result);
  }
}

Exit Process::finish(const Limits& limits) {
  if (!begun_) begin();
  Exit result;
  exchange(limits, result);
  await_end(limits, result);
  const int status = wait();
  if (WIFSIGNALED(status)) {
    result.signal = WTERMSIG(status);
  } else {
    result.status = WEXITSTATUS(status);
  }
  return result;
}

Exit run(const Command& command) { return Process(command).finish(); }

std::optional<std::string> find_program(std::string_view name, std::string_view search_path) {
  while (!search_path.empty()) {
    const std::size_t colon = search_path.find(':');
    const std::string_view folder = search_path.substr(0, colon);
    search_path.remove_prefix(colon == std::string_view::npos ? search_path.size() : colon + 1);
    if (folder.empty()) continue;
    std::string path = cat(folder, '/', name);
    struct stat status {};
    const bool found = ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
    if (found && ::access(path.c_str(), X_OK) == 0) return path;
  }
  return std::nullopt;
}

}  // namespace cni::os
