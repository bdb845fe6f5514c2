#include "pkg/os/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "pkg/os/fd.hpp"
#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/temporary_folder.hpp"

namespace cni::os {
namespace {

using test::TemporaryFolder;
using test::write_file;

Exit shell(const std::string& script, std::string input = {}) {
  return run({"/bin/sh", {"sh", "-c", script}, std::move(input), std::nullopt});
}

TEST_CASE("a program gets its arguments and input and its outputs are told apart") {
  const Exit exit = run(
      {"/bin/sh", {"sh", "-c", "cat; echo \"$1\" >&2", "sh", "a b'\"$x"}, "input", std::nullopt});
  CHECK(exit.ok());
  CHECK(exit.out == "input");
  CHECK(exit.err == "a b'\"$x\n");
}

TEST_CASE("large input and output in both directions do not block each other") {
  const std::string input(1000000, 'x');
  const Exit exit = shell("tee /dev/stderr", input);
  CHECK(exit.ok());
  CHECK(exit.out == input);
  CHECK(exit.err == input);
  CHECK(shell("head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; cat >/dev/null", input)
            .err.size() == 300000);
}

TEST_CASE("a program that does not read its input is no error") {
  CHECK(shell("exit 0", std::string(1000000, 'x')).ok());
  CHECK(shell("exec <&-; echo done", std::string(1000000, 'x')).out == "done\n");
}

TEST_CASE("a program without output that closes its outputs early is still waited for") {
  const Exit exit = shell("exec >&- 2>&-; sleep 0.1; exit 3");
  CHECK(exit.status == 3);
}

TEST_CASE("a program is killed if it is never given its input and waited for if it was") {
  const TemporaryFolder folder;
  const std::string note = folder / "note";
  const Command command{
      "/bin/sh", {"sh", "-c", cat("cat >/dev/null; sleep 0.1; touch ", note)}, "input", {}};
  { const Process never_begun(command); }
  CHECK(::access(note.c_str(), F_OK) != 0);
  {
    Process begun(command);
    begun.begin();
  }
  CHECK(::access(note.c_str(), F_OK) == 0);
}

Exit shell_for(const std::string& script, std::chrono::milliseconds time) {
  return Process({"/bin/sh", {"sh", "-c", script}, {}, {}, true})
      .finish({.deadline = std::chrono::steady_clock::now() + time});
}

TEST_CASE("a program that takes too long is killed with everything that it runs") {
  using std::chrono::milliseconds;
  const TemporaryFolder folder;
  const std::string script = cat("(sleep 1; touch ", folder / "note", ") & sleep 5");
  const Exit late = shell_for(script, milliseconds(100));
  CHECK(late.stop == Exit::Stop::kTimeout);
  CHECK(late.signal == SIGKILL);
  ::usleep(1'200'000);
  CHECK(::access((folder / "note").c_str(), F_OK) != 0);
  // Also one that has closed its outputs.
  CHECK(shell_for("exec >&- 2>&-; sleep 5", milliseconds(100)).stop == Exit::Stop::kTimeout);
  const Exit in_time = shell_for("exec >&- 2>&-; exit 3", milliseconds(5000));
  CHECK(in_time.stop == Exit::Stop::kNone);
  CHECK(in_time.status == 3);
}

TEST_CASE("an executable that stays open for writing is an error in the end") {
  const TemporaryFolder folder;
  const std::string path = folder / "tool";
  write_file(path, "#!/bin/sh\nexit 0\n");
  REQUIRE(::chmod(path.c_str(), 0755) == 0);
  const Fd writer(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  REQUIRE(writer);
  try {
    (void)run({path, {path}, {}, {}});
    FAIL("it ran");
  } catch (const Error& error) {
    CHECK(error.code == Code::kDelegateFailed);
    CHECK(error.msg == cat("run ", path, ": text file busy"));
  }
}

TEST_CASE("a program is killed when it is cancelled") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const Fd read_end(ends[0]);
  const Fd write_end(ends[1]);
  REQUIRE(::write(write_end.get(), "x", 1) == 1);
  Process process({"/bin/sh", {"sh", "-c", "sleep 5"}, {}, {}, true});
  const Exit exit = process.finish({.deadline = {}, .cancel_fd = read_end.get()});
  CHECK(exit.stop == Exit::Stop::kCancelled);
  CHECK(exit.signal == SIGKILL);
}

TEST_CASE("exit status and signal are told apart and described") {
  const Exit seven = shell("exit 7");
  CHECK(seven.status == 7);
  CHECK_FALSE(seven.ok());
  CHECK(seven.describe() == "exit status 7");
  const Exit killed = shell("kill -KILL $$");
  CHECK(killed.signal == SIGKILL);
  CHECK_FALSE(killed.ok());
  CHECK(killed.describe() == "signal: killed");
  CHECK(shell("kill -TERM $$").describe() == "signal: terminated");
}

TEST_CASE("a program that cannot be started is an error with the errno") {
  const TemporaryFolder folder;
  try {
    (void)run({folder / "none", {"none"}, {}, std::nullopt});
    FAIL("no error came out");
  } catch (const Error& error) {
    CHECK(error.code == Code::kDelegateFailed);
    CHECK(error.sys_errno == ENOENT);
    CHECK(error.msg.find(folder / "none") != std::string::npos);
  }
  write_file(folder / "plain", "text");
  CHECK_THROWS_AS(run({folder / "plain", {"plain"}, {}, std::nullopt}), Error);
  REQUIRE(::chmod((folder / "plain").c_str(), 0755) == 0);
  CHECK_THROWS_AS(run({folder / "plain", {"plain"}, {}, std::nullopt}), Error);
}

TEST_CASE("a child inherits no descriptor but its three streams") {
  // One without close-on-exec, as a careless runtime leaves it, has to stay out too.
  const Fd careless(::open("/dev/null", O_RDONLY));
  const Fd careful(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  REQUIRE(careless);
  // No pipeline: the shell holds its pipe while it starts the programs. And more than one command,
  // so that it stays a shell.
  const Exit exit = shell("ls /proc/$$/fd; true");
  CHECK(exit.out == "0\n1\n2\n");
}

TEST_CASE("a child starts with default signals and an empty mask") {
  sigset_t all;
  sigset_t old;
  (void)sigfillset(&all);
  (void)::sigprocmask(SIG_SETMASK, &all, &old);
  struct sigaction ignore {};
  struct sigaction old_pipe {};
  ignore.sa_handler = SIG_IGN;
  (void)::sigaction(SIGPIPE, &ignore, &old_pipe);
  const Exit exit = shell("grep -E '^Sig(Blk|Ign)' /proc/self/status");
  (void)::sigaction(SIGPIPE, &old_pipe, nullptr);
  (void)::sigprocmask(SIG_SETMASK, &old, nullptr);
  CHECK(exit.out.find("SigBlk:\t0000000000000000") != std::string::npos);
  const std::size_t at = exit.out.find("SigIgn:\t") + 8;
  const unsigned long long ignored = std::stoull(exit.out.substr(at, 16), nullptr, 16);
  CHECK((ignored >> (SIGPIPE - 1) & 1U) == 0);
}

TEST_CASE("a program gets the environment that it is given and no other") {
  const Exit exit =
      run({"/usr/bin/env", {"env"}, {}, std::vector<std::string>{"ONE=1", "TWO=a b"}});
  CHECK(exit.out == "ONE=1\nTWO=a b\n");
  CHECK(run({"/usr/bin/env", {"env"}, {}, std::vector<std::string>{}}).out.empty());
}

TEST_CASE("a program is the first executable regular file of its name") {
  const TemporaryFolder folder;
  for (const char* name : {"one", "two", "three"})
    REQUIRE(::mkdir((folder / name).c_str(), 0700) == 0);
  REQUIRE(::mkdir((folder / "one/tool").c_str(), 0700) == 0);
  write_file(folder / "two/tool", "");
  write_file(folder / "three/tool", "");
  REQUIRE(::chmod((folder / "three/tool").c_str(), 0755) == 0);
  const std::string path = cat(":", folder / "none", "::", folder / "one", ":", folder / "two", ":",
                               folder / "three", ":");
  CHECK(find_program("tool", path) == folder / "three/tool");
  CHECK_FALSE(find_program("other", path));
  CHECK_FALSE(find_program("tool", ""));
}

}  // namespace
}  // namespace cni::os
