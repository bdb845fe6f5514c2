// cnitool: attaches network namespaces to CNI networks, and looks after them.
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <string>
#include <vector>

#include "cnitool/run.hpp"
#include "cnitool/shim.hpp"
#include "pkg/skel/request.hpp"

namespace {

const cni::libcni::Cancellation* cancellation = nullptr;
volatile sig_atomic_t stopped_by = 0;

void stop(int number) {
  if (stopped_by == 0) stopped_by = number;
  cancellation->cancel();
}

// The first signal ends the running plugin; what was added is then deleted, and that is not
// interrupted.
void stop_on_signals() {
  struct sigaction action {};
  action.sa_handler = stop;
  (void)sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    // What whoever started this program ignores, it ignores too: nohup, and jobs in the background.
    struct sigaction present {};
    (void)sigaction(number, nullptr, &present);
    if (present.sa_handler != SIG_IGN) (void)sigaction(number, &action, nullptr);
  }
  // A reader that has gone away is an error of write(), after which an add is taken back.
  (void)signal(SIGPIPE, SIG_IGN);
}

// Descriptors 0 to 2 that are closed would be handed out to files, and our output would go there.
void occupy_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) != -1) continue;
    // Opened the wrong way round, so that using it fails as if it were closed.
    (void)::open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
  }
}

std::string own_path() {
  std::array<char, PATH_MAX> buffer{};
  const ssize_t size = ::readlink("/proc/self/exe", buffer.data(), buffer.size());
  return size > 0 ? std::string(buffer.data(), static_cast<std::size_t>(size)) : std::string();
}

std::string current_folder() {
  std::array<char, PATH_MAX> buffer{};
  return ::getcwd(buffer.data(), buffer.size()) != nullptr ? buffer.data() : "/";
}

}  // namespace

int main(int argc, char** argv) {
  occupy_standard_descriptors();
  const cni::skel::Io process = cni::skel::process_io();
  const std::vector<std::string> words(argv, argv + argc);
  if (const auto status = cni::cnitool::run_as_shim(words, process.environment)) return *status;
  const cni::libcni::Cancellation own_cancellation;
  cancellation = &own_cancellation;
  stop_on_signals();
  const int status = cni::cnitool::run({.environment = process.environment,
                                        .executable = own_path(),
                                        .current_folder = current_folder(),
                                        .cancellation = cancellation},
                                       {words.begin() + (words.empty() ? 0 : 1), words.end()});
  return status != 0 && stopped_by != 0 ? 128 + stopped_by : status;
}
