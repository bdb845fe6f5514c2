#include "pkg/os/lock.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/temporary_folder.hpp"

namespace cni::os {
namespace {

using test::TemporaryFolder;

// Whether somebody else could take the lock now.
bool is_free(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(fd);
  return ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0;
}

TEST_CASE("a lock is held until its object ends and its file is private") {
  const TemporaryFolder folder;
  std::optional<FileLock> lock(folder / "lock");
  CHECK_FALSE(is_free(folder / "lock"));
  struct stat status {};
  REQUIRE(::stat((folder / "lock").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777U) == 0600);
  lock.reset();
  CHECK(is_free(folder / "lock"));
}

TEST_CASE("a lock of a descriptor is held until its object ends") {
  const TemporaryFolder folder;
  test::write_file(folder / "file", "content");
  const Fd fd(::open((folder / "file").c_str(), O_RDONLY | O_CLOEXEC));
  {
    const DescriptorLock lock(fd.get(), "the file");
    CHECK_FALSE(is_free(folder / "file"));
  }
  CHECK(is_free(folder / "file"));
  try {
    const DescriptorLock lock(-1, "nothing");
    FAIL("no error came out");
  } catch (const Error& error) {
    CHECK(error.code == Code::kIoFailure);
    CHECK(error.msg == "lock nothing: bad file descriptor");
  }
}

TEST_CASE("a lock in a missing folder is an input error that names it") {
  const TemporaryFolder folder;
  try {
    const FileLock lock(folder / "none/lock");
    FAIL("no error came out");
  } catch (const Error& error) {
    CHECK(error.code == Code::kIoFailure);
    CHECK(error.msg.find(folder / "none/lock") != std::string::npos);
  }
}

TEST_CASE("a lock of an existing file is held and never makes one") {
  const TemporaryFolder folder;
  CHECK_FALSE(FileLock::find(folder / "file"));
  CHECK(::access((folder / "file").c_str(), F_OK) != 0);
  CHECK_FALSE(FileLock::find(folder / "none/file"));
  test::write_file(folder / "file", "content");
  {
    const auto lock = FileLock::find(folder / "file");
    REQUIRE(lock);
    CHECK_FALSE(is_free(folder / "file"));
  }
  CHECK(is_free(folder / "file"));
}

// What a waiter gets if whoever holds the lock ends like this.
bool waits_and_finds(void (*end)(const std::string& path)) {
  const TemporaryFolder folder;
  const std::string path = folder / "file";
  test::write_file(path, "first");
  int start[2];
  REQUIRE(::pipe2(start, O_CLOEXEC) == 0);
  // A child that is born later would hold the lock too.
  const pid_t pid = ::fork();
  if (pid == 0) {
    char byte = 0;
    (void)!::read(start[0], &byte, 1);
    ::_exit(FileLock::find(path) ? 0 : 1);
  }
  std::optional<FileLock> held(path);
  REQUIRE(::write(start[1], "x", 1) == 1);
  // Asleep at the lock.
  const std::string waiter = cat("-> FLOCK  ADVISORY  WRITE ", pid, ' ');
  while (test::file_text("/proc/locks").find(waiter) == std::string::npos) ::sched_yield();
  end(path);
  held.reset();
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  (void)::close(start[0]);
  (void)::close(start[1]);
  return status == 0;
}

TEST_CASE("a file that is removed or replaced during the wait for its lock") {
  CHECK(waits_and_finds([](const std::string& /*path*/) {}));
  CHECK_FALSE(
      waits_and_finds([](const std::string& path) { REQUIRE(::unlink(path.c_str()) == 0); }));
  CHECK(waits_and_finds([](const std::string& path) {
    test::write_file(path + ".new", "second");
    REQUIRE(::rename((path + ".new").c_str(), path.c_str()) == 0);
  }));
}

// Adds 1 to the number in a file, in two steps that another process could come between.
void increment(const std::string& path) {
  const int number = std::stoi(test::file_text(path));
  ::usleep(100);
  test::write_file(path, std::to_string(number + 1));
}

TEST_CASE("processes take turns under a lock") {
  const TemporaryFolder folder;
  test::write_file(folder / "number", "0");
  constexpr int kProcesses = 8;
  constexpr int kRounds = 25;
  for (int i = 0; i < kProcesses; ++i) {
    if (::fork() != 0) continue;
    for (int round = 0; round < kRounds; ++round) {
      const FileLock lock(folder / "lock");
      increment(folder / "number");
    }
    ::_exit(0);
  }
  for (int i = 0; i < kProcesses; ++i) {
    int status = 0;
    REQUIRE(::wait(&status) > 0);
    CHECK(status == 0);
  }
  CHECK(test::file_text(folder / "number") == std::to_string(kProcesses * kRounds));
}

TEST_CASE("the lock of a process that was killed is free") {
  const TemporaryFolder folder;
  int ready[2];
  REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const FileLock lock(folder / "lock");
    (void)!::write(ready[1], "x", 1);
    for (;;) ::pause();
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  CHECK_FALSE(is_free(folder / "lock"));
  REQUIRE(::kill(pid, SIGKILL) == 0);
  REQUIRE(::waitpid(pid, nullptr, 0) == pid);
  CHECK(is_free(folder / "lock"));
  (void)::close(ready[0]);
  (void)::close(ready[1]);
}

}  // namespace
}  // namespace cni::os
