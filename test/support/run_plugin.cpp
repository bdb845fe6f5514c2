#include "test/support/run_plugin.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <stdexcept>

#include "pkg/os/fd.hpp"
#include "pkg/os/file.hpp"
#include "pkg/skel/dispatch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/skip.hpp"

namespace cni::test {
namespace {

os::Fd memory_file(const std::string& content) {
  os::Fd fd(::memfd_create("stream", MFD_CLOEXEC));
  if (!fd) throw std::runtime_error("memfd_create failed");
  os::write_all(fd.get(), content, "write a stream");
  (void)::lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

std::string content_of(const os::Fd& fd) {
  (void)::lseek(fd.get(), 0, SEEK_SET);
  return os::read_all(fd.get(), "read a stream");
}

// A pipe nobody reads.
os::Fd broken_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
  (void)::close(ends[0]);
  return os::Fd(ends[1]);
}

std::vector<std::string> environment_of(const Call& what) {
  std::vector<std::string> out;
  const auto add = [&out](const char* name, const std::string& value) {
    if (!value.empty()) out.push_back(cat(name, "=", value));
  };
  add("CNI_COMMAND", what.command);
  add("CNI_CONTAINERID", what.container_id);
  add("CNI_NETNS", what.netns);
  add("CNI_IFNAME", what.ifname);
  add("CNI_ARGS", what.args);
  add("CNI_PATH", what.path);
  const char* path = std::getenv("PATH");
  out.push_back(cat("PATH=", path != nullptr ? path : "", ":/usr/sbin:/sbin:/usr/bin:/bin"));
  out.insert(out.end(), what.more_environment.begin(), what.more_environment.end());
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

struct Streams {
  os::Fd in;
  os::Fd out;  // empty: closed in the child
  os::Fd err;
};

void place(const os::Fd& fd, int number) {
  if (fd) {
    (void)::dup2(fd.get(), number);
  } else {
    (void)::close(number);
  }
}

// Between fork and exec: only system calls.
[[noreturn]] void become(const Streams& streams, char** argv, char** environment, bool traced) {
  (void)::signal(SIGPIPE, SIG_DFL);
  place(streams.in, STDIN_FILENO);
  place(streams.out, STDOUT_FILENO);
  place(streams.err, STDERR_FILENO);
  if (traced) {
    (void)::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    (void)::kill(::getpid(), SIGSTOP);
  }
  (void)::execve(argv[0], argv, environment);
  ::_exit(127);
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

Streams streams_of(const Call& what) {
  Streams streams;
  if (what.stdin_stream != Call::Stream::kClosed) streams.in = memory_file(what.input);
  switch (what.stdout_stream) {
    case Call::Stream::kFile:
      streams.out = memory_file({});
      break;
    case Call::Stream::kFullDevice:
      streams.out.reset(::open("/dev/full", O_WRONLY | O_CLOEXEC));
      break;
    case Call::Stream::kBrokenPipe:
      streams.out = broken_pipe();
      break;
    case Call::Stream::kClosed:
      break;
  }
  streams.err = memory_file({});
  return streams;
}

void read_back(PluginRun& result, const Call& what, const Streams& streams) {
  if (what.stdout_stream == Call::Stream::kFile) result.out = content_of(streams.out);
  result.err = content_of(streams.err);
  if (!result.out.empty()) result.document = json::parse(result.out, nullptr, false);
}

PluginRun start_and_wait(const std::string& plugin, const Call& what, bool traced,
                         const Tracer& wait) {
  std::vector<std::string> argv = what.wrapper;
  if (!argv.empty()) argv[0] = find_installed(argv[0]).value_or(argv[0]);
  argv.push_back(plugin.find('/') == std::string::npos ? executable(plugin) : plugin);
  std::vector<std::string> environment = environment_of(what);
  std::vector<char*> argv_pointers = pointers(argv);
  std::vector<char*> environment_pointers = pointers(environment);
  const Streams streams = streams_of(what);

  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("fork failed");
  if (pid == 0) become(streams, argv_pointers.data(), environment_pointers.data(), traced);
  const int status = wait(pid);

  PluginRun result;
  if (WIFSIGNALED(status)) {
    result.signal = WTERMSIG(status);
  } else {
    result.status = WEXITSTATUS(status);
  }
  read_back(result, what, streams);
  return result;
}

}  // namespace

std::optional<int> PluginRun::code() const {
  if (!document.is_object() || !document.contains("code")) return std::nullopt;
  return document.at("code").get<int>();
}

std::string PluginRun::msg() const {
  return document.is_object() ? document.value("msg", std::string()) : std::string();
}

std::string PluginRun::details() const {
  return document.is_object() ? document.value("details", std::string()) : std::string();
}

std::string PluginRun::describe() const {
  return cat("exit status ", status, ", signal ", signal, "\nstdout: ", out, "\nstderr: ", err);
}

PluginRun call(const std::string& plugin, const Call& what) {
  return start_and_wait(plugin, what, false, wait_for);
}

PluginRun call_traced(const std::string& plugin, const Call& what, const Tracer& tracer) {
  return start_and_wait(plugin, what, true, tracer);
}

void check_error(const PluginRun& run, int code, std::string_view msg_start) {
  INFO(run.describe());
  CHECK(run.signal == 0);
  CHECK(run.status == 1);
  REQUIRE(run.document.is_object());
  CHECK(run.code() == code);
  CHECK(run.msg().substr(0, msg_start.size()) == msg_start);
  CHECK(run.document.value("cniVersion", json()).is_string());
}

PluginRun call_in_process(const skel::Plugin& plugin, const Call& what, const Hooks& hooks) {
  const Streams streams = streams_of(what);
  skel::Io io;
  io.environment = environment_of(what);
  io.in = streams.in.get();
  io.out = streams.out.get();
  io.err = streams.err.get();
  io.on_undo_push = hooks.on_undo_push;
  io.before_print = hooks.before_print;
  PluginRun result;
  result.status = skel::run(plugin, io);
  read_back(result, what, streams);
  return result;
}

const skel::Plugin& plugin_named(std::string_view name) {
  for (const skel::Plugin* plugin : skel::all_plugins()) {
    if (plugin->name == name) return *plugin;
  }
  throw std::runtime_error(cat("no plugin ", name, " in the table"));
}

std::string executable(std::string_view plugin) { return cat(CNI_TEST_BIN_DIR, "/", plugin); }

std::vector<std::string> plugin_executables() {
  std::vector<std::string> out;
  for (const std::string& name : os::list_directory(CNI_TEST_BIN_DIR)) {
    const bool plugin = std::any_of(skel::all_plugins().begin(), skel::all_plugins().end(),
                                    [&](const skel::Plugin* each) { return each->name == name; });
    if (plugin) out.push_back(name);
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::optional<std::string> reference_dir() {
  const char* folder = std::getenv("CNI_REFERENCE");
  if (folder == nullptr || *folder == '\0') return std::nullopt;
  return folder;
}

std::string require_reference() {
  const auto folder = reference_dir();
  if (!folder) skip("CNI_REFERENCE does not name a folder with the reference plugins");
  return *folder;
}

}  // namespace cni::test
