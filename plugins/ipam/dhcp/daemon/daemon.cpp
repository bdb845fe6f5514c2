#include "plugins/ipam/dhcp/daemon/daemon.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "pkg/skel/request.hpp"
#include "pkg/types/error.hpp"
#include "plugins/ipam/dhcp/daemon/connection.hpp"
#include "plugins/ipam/dhcp/daemon/listener.hpp"
#include "plugins/ipam/dhcp/daemon/log.hpp"
#include "plugins/ipam/dhcp/daemon/loop.hpp"
#include "plugins/ipam/dhcp/daemon/sessions.hpp"
#include "plugins/ipam/dhcp/daemon/state.hpp"

namespace cni::dhcp {
namespace {

// Each attachment that asks has a few descriptors, and each client one.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);  // the old limit serves fewer, and serves
}

os::Fd open_signals() {
  // A reader of the log that is gone is no reason to end.
  (void)::signal(SIGPIPE, SIG_IGN);
  sigset_t ending;
  (void)::sigemptyset(&ending);
  (void)::sigaddset(&ending, SIGINT);
  (void)::sigaddset(&ending, SIGTERM);
  if (::sigprocmask(SIG_BLOCK, &ending, nullptr) != 0) throw system_error("block signals", errno);
  os::Fd out(::signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!out) throw system_error("make a signal descriptor", errno);
  return out;
}

std::uint32_t random_number() {
  std::uint32_t out = 0;
  // Of a few octets it never gives less, once the machine has started.
  (void)!::getrandom(&out, sizeof out, 0);
  return out;
}

void write_stderr(std::string_view text) {
  (void)!::write(STDERR_FILENO, text.data(), text.size());  // there is nowhere else to say it
}

}  // namespace

void serve(const Flags& flags, const std::vector<std::string>& environment) {
  const os::Fd signals = open_signals();
  raise_descriptor_limit();
  const Listener listener = Listener::open(flags.hostprefix + flags.socketpath, environment);
  StateFolder state(flags.hostprefix + flags.statedir);
  // After the socket, so that a second daemon does not overwrite the first one's.
  std::optional<Pidfile> pidfile;
  if (!flags.pidfile.empty()) pidfile.emplace(flags.pidfile);

  Loop loop;
  std::optional<Connections> connections;
  Shared shared{.loop = loop,
                .flags = flags,
                .state = state,
                .random = random_number,
                .answer = [&connections](ConnectionId id, const Answer& answer) {
                  if (connections) connections->answer(id, answer);
                }};
  Sessions sessions(shared);
  sessions.resume();
  connections.emplace(
      loop, listener.fd(),
      Connections::Handlers{
          .called = [&sessions](ConnectionId id, const Call& call) { sessions.called(id, call); },
          .gone = [&sessions](ConnectionId id) { sessions.gone(id); }});
  const Loop::Watch ending =
      loop.watch(signals.get(), EPOLLIN, [&loop](std::uint32_t) { loop.stop(); });
  loop.run();
}

int run(int argc, char** argv) {
  const std::vector<std::string> arguments(argv, argv + argc);
  if (arguments.size() < 2 || arguments[1] != "daemon") {
    const std::string what = arguments.size() < 2 ? "" : arguments[1];
    write_stderr(cat("unknown command ", quote(what), ": there is `daemon` alone; without ",
                     "arguments this is a CNI plugin\n"));
    return 2;
  }
  Flags flags;
  try {
    flags = parse_flags(std::span(arguments).subspan(2));
  } catch (const Error& error) {
    write_stderr(cat(error.what(), "\n", usage()));
    return 2;
  }
  if (flags.help) {
    write_stderr(usage());
    return 0;
  }
  try {
    serve(flags, skel::process_io().environment);
  } catch (const std::exception& error) {
    log(error.what());
    return 1;
  }
  return 0;
}

}  // namespace cni::dhcp
