#include "pkg/os/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
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
  SpawnSetup(int in, int out, int err) {
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
    check(posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
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

// Feeds and drains the child until it has closed both outputs.
void exchange(Fd& in, Fd& out, Fd& err, std::string_view& input, Exit& result) {
  const PipeSignalBlock block;
  while (out || err) {
    std::array<pollfd, 3> polled = {pollfd{out.get(), POLLIN, 0}, pollfd{err.get(), POLLIN, 0},
                                    pollfd{in.get(), POLLOUT, 0}};
    if (::poll(polled.data(), polled.size(), -1) < 0) {
      // The kernel is out of memory for a moment, or a signal came. Giving up would leave the child
      // running behind our back.
      if (errno != EINTR) (void)::poll(nullptr, 0, 1);
      continue;
    }
    if (polled[0].revents != 0) read_some(out, result.out);
    if (polled[1].revents != 0) read_some(err, result.err);
    if (in && polled[2].revents != 0) write_some(in, input);
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

Process::Process(const Command& command) : input_(command.input), rest_(input_) {
  Pipe in = make_pipe();
  Pipe out = make_pipe();
  Pipe err = make_pipe();
  pid_ = SpawnSetup(in.read.get(), out.write.get(), err.write.get()).spawn(command);
  in_ = std::move(in.write);
  out_ = std::move(out.read);
  err_ = std::move(err.read);
}

Process::~Process() {
  if (pid_ < 0) return;
  if (!begun_) (void)::kill(pid_, SIGKILL);
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

Exit Process::finish() {
  if (!begun_) begin();
  Exit result;
  exchange(in_, out_, err_, rest_, result);
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
