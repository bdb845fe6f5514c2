#include "pkg/skel/main.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <malloc.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pkg/skel/dispatch.hpp"
#include "pkg/skel/request.hpp"

namespace cni::skel {
namespace {

// A runtime's time-out usually starts with SIGTERM. Acting on it between two steps would leave half
// an attachment; the call takes milliseconds, so it is finished first.
void hold_signals() {
  sigset_t set;
  (void)sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) (void)sigaddset(&set, number);
  (void)sigprocmask(SIG_BLOCK, &set, nullptr);
  // A reader that has gone away is an error of write(), which is undone and reported.
  (void)signal(SIGPIPE, SIG_IGN);
}

// Descriptors 0 to 2 that the runtime closed would be handed out to sockets, and our output would
// go there.
void occupy_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) != -1) continue;
    // Opened the wrong way round, so that using it fails as if it were closed.
    (void)::open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
  }
}

// What a runtime leaked into us does not go on to the programs that we run.
void close_on_exec_inherited() {
  (void)::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);  // since Linux 5.11
}

}  // namespace

int plugin_main(const Plugin& plugin, int argc, char** argv) {
  occupy_standard_descriptors();
  if (plugin.command != nullptr && argc > 1) return plugin.command(argc, argv);
  hold_signals();
  close_on_exec_inherited();
  (void)::umask(0077);
  // One heap is enough for threads of which one at a time does anything; another costs several
  // system calls each.
  (void)::mallopt(M_ARENA_MAX, 1);
  return run(plugin, process_io());
}

}  // namespace cni::skel
