#include "cnitool/shim.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "cnitool/output.hpp"
#include "cnitool/settings.hpp"
#include "cnitool/timing.hpp"
#include "pkg/os/fd.hpp"
#include "pkg/os/file.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/types/error.hpp"

namespace cni::cnitool {
namespace {

std::int64_t now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

// The folder of links that this process was started from; empty if it was not. A plugin that gives
// its delegate only a name as argv[0] has it first in CNI_PATH.
std::string timing_folder(const std::string& program, const std::vector<std::string>& environment) {
  const std::string path = skel::environment_value(environment, "CNI_PATH");
  for (const std::string& folder : {os::folder_of(program), path.substr(0, path.find(':'))}) {
    if (::access(cat(folder, '/', Timing::kNotes).c_str(), W_OK) == 0) return folder;
  }
  return {};
}

std::string read_link(const std::string& path) {
  std::array<char, PATH_MAX> buffer{};
  const ssize_t size = ::readlink(path.c_str(), buffer.data(), buffer.size());
  return size > 0 ? std::string(buffer.data(), static_cast<std::size_t>(size)) : std::string();
}

void write_note(const std::string& folder, const std::string& line) {
  const os::Fd notes(
      ::open(cat(folder, '/', Timing::kNotes).c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  // A plugin must not fail because its time cannot be noted.
  if (notes) (void)!::write(notes.get(), line.data(), line.size());
}

// In the child: becomes the plugin, or reports as a plugin does why it cannot.
[[noreturn]] void become(const std::string& target, const std::vector<std::string>& argv,
                         pid_t shim) {
  // Whoever kills the shim means the plugin.
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != shim) ::_exit(1);
  std::vector<char*> arguments = {const_cast<char*>(target.c_str())};
  for (std::size_t i = 1; i < argv.size(); ++i) {
    arguments.push_back(const_cast<char*>(argv[i].c_str()));
  }
  arguments.push_back(nullptr);
  // An executable that is being replaced cannot be run for a moment.
  for (int attempt = 0; attempt < 40; ++attempt) {
    (void)::execv(target.c_str(), arguments.data());
    if (errno != ETXTBSY) break;
    const timespec pause{0, 50'000'000};
    (void)::nanosleep(&pause, nullptr);
  }
  const Error error = system_error(cat("run ", target), errno, Code::kDelegateFailed);
  try {
    os::write_all(STDOUT_FILENO, error_json(error).dump(), "write to stdout");
  } catch (const Error&) {
    // Whoever started it gets the exit status.
  }
  ::_exit(1);
}

// A plugin may be started ahead of its configuration, to be loaded by then; what it waits is not
// what it takes. So it is started when the configuration comes.
void wait_for_input(std::string_view command) {
  if (command == "VERSION") return;  // which needs none
  pollfd input{STDIN_FILENO, POLLIN, 0};
  while (::poll(&input, 1, -1) < 0 && errno == EINTR) {
  }
}

int end_like(int status) {
  if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
  const rlimit no_core{0, 0};
  (void)::setrlimit(RLIMIT_CORE, &no_core);
  (void)::signal(WTERMSIG(status), SIG_DFL);
  (void)::raise(WTERMSIG(status));
  return 128 + WTERMSIG(status);
}

}  // namespace

std::optional<int> run_as_shim(const std::vector<std::string>& argv,
                               const std::vector<std::string>& environment) {
  if (argv.empty()) return std::nullopt;
  const std::string type = argv[0].substr(argv[0].rfind('/') + 1);
  if (type == "cnitool") return std::nullopt;
  const std::string folder = timing_folder(argv[0], environment);
  if (folder.empty()) return std::nullopt;
  const std::string target = read_link(cat(folder, '/', Timing::kTargets, '/', type));
  if (target.empty()) return std::nullopt;

  const std::string command = skel::environment_value(environment, "CNI_COMMAND");
  wait_for_input(command);
  const pid_t shim = ::getpid();
  const std::int64_t start = now();
  const pid_t child = ::fork();
  // Better without its time than not at all.
  if (child < 0) become(target, argv, ::getppid());
  if (child == 0) become(target, argv, shim);
  write_note(folder, cat("begin\t", shim, '\t', ::getppid(), '\t', child, '\t', start, '\t',
                         command, '\t', type, '\n'));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  write_note(folder, cat("end\t", shim, '\t', now(), '\t', status == 0 ? 0 : 1, '\n'));
  return end_like(status);
}

}  // namespace cni::cnitool
