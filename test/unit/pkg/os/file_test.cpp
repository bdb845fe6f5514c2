#include "pkg/os/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <thread>

#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/temporary_folder.hpp"

namespace cni::os {
namespace {

using test::file_text;
using test::TemporaryFolder;
using test::write_file;

// Sets the umask and puts the old one back.
class Umask {
 public:
  explicit Umask(mode_t mask) : old_(::umask(mask)) {}
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;
  ~Umask() { ::umask(old_); }

 private:
  mode_t old_;
};

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

TEST_CASE("a file that is not there reads as absent") {
  const TemporaryFolder folder;
  CHECK_FALSE(read_file(folder / "none"));
  CHECK_FALSE(read_file(folder / "none/below"));
  write_file(folder / "file", "x");
  CHECK_FALSE(read_file(folder / "file/below"));
}

TEST_CASE("files are read whole whatever their size") {
  const TemporaryFolder folder;
  for (const std::size_t size : {0U, 1U, 4095U, 16384U, 16385U, 3000000U}) {
    write_file(folder / "file", std::string(size, 'x'));
    CHECK(read_file(folder / "file")->size() == size);
  }
  CHECK(read_file("/proc/self/stat").value().find(')') != std::string::npos);
}

TEST_CASE("a folder cannot be read as a file and a fifo without writer does not hang") {
  const TemporaryFolder folder;
  CHECK_THROWS_AS(read_file(folder.path()), Error);
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  CHECK(read_file(folder / "fifo") == "");
}

TEST_CASE("a created file is complete and private whatever the umask") {
  const TemporaryFolder folder;
  for (const mode_t mask : {0U, 022U, 077U}) {
    const Umask umask(mask);
    const std::string path = folder / cat("file-", mask);
    CHECK(create_file(path, "content"));
    CHECK(file_text(path) == "content");
    CHECK(mode_of(path) == 0600);
  }
  CHECK(list_directory(folder.path()).size() == 3);
}

TEST_CASE("creating a file that exists changes nothing and says so") {
  const TemporaryFolder folder;
  write_file(folder / "file", "old");
  CHECK_FALSE(create_file(folder / "file", "new"));
  CHECK(file_text(folder / "file") == "old");
  REQUIRE(::symlink("nowhere", (folder / "link").c_str()) == 0);
  CHECK_FALSE(create_file(folder / "link", "new"));
  CHECK_FALSE(read_file(folder / "nowhere"));
  CHECK(list_directory(folder.path()).size() == 2);
}

TEST_CASE("creating a file in a missing folder fails and names the file") {
  const TemporaryFolder folder;
  try {
    (void)create_file(folder / "none/file", "x");
    FAIL("no error came out");
  } catch (const Error& error) {
    CHECK(error.code == Code::kIoFailure);
    CHECK(error.sys_errno == ENOENT);
    CHECK(error.msg.find(folder / "none/file") != std::string::npos);
  }
}

TEST_CASE("of many who create the same file exactly one succeeds and nobody reads half of it") {
  const TemporaryFolder folder;
  const std::string content(100000, 'x');
  for (int round = 0; round < 20; ++round) {
    const std::string path = folder / cat("file-", round);
    std::atomic<int> created = 0;
    std::atomic<int> torn = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        if (create_file(path, content)) ++created;
        if (read_file(path) != content) ++torn;
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(created == 1);
    CHECK(torn == 0);
  }
  CHECK(list_directory(folder.path()).size() == 20);
}

TEST_CASE("replacing a file is complete and private and leaves no temporary file") {
  const TemporaryFolder folder;
  const Umask umask(0);
  for (const Flush flush : {Flush::kNo, Flush::kYes}) {
    const std::string path = folder / (flush == Flush::kNo ? "plain" : "flushed");
    replace_file(path, "first", flush);
    CHECK(file_text(path) == "first");
    CHECK(mode_of(path) == 0600);
    replace_file(path, "second", flush);
    CHECK(file_text(path) == "second");
  }
  CHECK(list_directory(folder.path()).size() == 2);
}

TEST_CASE("a reader of a file that is being replaced sees one of the contents") {
  const TemporaryFolder folder;
  const std::string path = folder / "file";
  const std::string one(50000, '1');
  const std::string two(70000, '2');
  replace_file(path, one, Flush::kNo);
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (int i = 0; i < 300; ++i) replace_file(path, i % 2 == 0 ? two : one, Flush::kNo);
    stop = true;
  });
  int torn = 0;
  while (!stop) {
    const auto text = read_file(path);
    if (text != one && text != two) ++torn;
  }
  writer.join();
  CHECK(torn == 0);
}

TEST_CASE("a failed replacement leaves the file and no temporary one") {
  const TemporaryFolder folder;
  REQUIRE(::mkdir((folder / "target").c_str(), 0700) == 0);
  CHECK_THROWS_AS(replace_file(folder / "target", "x", Flush::kNo), Error);
  CHECK(list_directory(folder.path()) == std::vector<std::string>{"target"});
}

TEST_CASE("a full file system fails the creation and leaves nothing") {
  // /dev/full stands for every device without space; writing through it must be noticed.
  const Fd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  REQUIRE(full);
  try {
    write_all(full.get(), "x", "write the result");
    FAIL("no error came out");
  } catch (const Error& error) {
    CHECK(error.msg == "write the result: no space left on device");
    CHECK(error.code == Code::kIoFailure);
  }
}

TEST_CASE("removing a file tells whether there was one") {
  const TemporaryFolder folder;
  write_file(folder / "file", "x");
  CHECK(remove_file(folder / "file"));
  CHECK_FALSE(remove_file(folder / "file"));
  CHECK_FALSE(remove_file(folder / "none/file"));
  CHECK_THROWS_AS(remove_file(folder.path()), Error);
}

TEST_CASE("folders are made with their parents and mode whatever the umask") {
  const TemporaryFolder folder;
  {
    const Umask umask(0777);
    make_directories(folder / "a/b/c");
  }
  CHECK(mode_of(folder / "a") == 0700);
  CHECK(mode_of(folder / "a/b") == 0700);
  CHECK(mode_of(folder / "a/b/c") == 0700);
  REQUIRE(::chmod((folder / "a").c_str(), 0755) == 0);
  make_directories(folder / "a/b/c");
  make_directories(folder / "a/d/", 0750);
  CHECK(mode_of(folder / "a") == 0755);
  CHECK(mode_of(folder / "a/d") == 0750);
}

TEST_CASE("a folder below a file cannot be made") {
  const TemporaryFolder folder;
  write_file(folder / "file", "x");
  CHECK_THROWS_AS(make_directories(folder / "file"), Error);
  CHECK_THROWS_AS(make_directories(folder / "file/below"), Error);
}

TEST_CASE("many may make the same folder at once") {
  const TemporaryFolder folder;
  std::atomic<int> failures = 0;
  for (int round = 0; round < 50; ++round) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, round] {
        try {
          make_directories(folder / cat("d", round, "/e/f"));
        } catch (const Error&) {
          ++failures;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  CHECK(failures == 0);
}

TEST_CASE("a folder is listed without itself and its parent") {
  const TemporaryFolder folder;
  CHECK(list_directory(folder.path()).empty());
  CHECK(list_directory(folder / "none").empty());
  write_file(folder / ".hidden", "");
  write_file(folder / "seen", "");
  auto names = list_directory(folder.path());
  std::sort(names.begin(), names.end());
  CHECK(names == std::vector<std::string>{".hidden", "seen"});
  CHECK_THROWS_AS(list_directory(folder / "seen"), Error);
}

TEST_CASE("a path component has no separators and goes nowhere") {
  for (const char* good : {"a", "eth0.100", "..a", "...", "-x", " "}) {
    INFO(good);
    CHECK(is_path_component(good));
  }
  for (const char* bad : {"", ".", "..", "/", "a/b", "a/"}) {
    INFO(bad);
    CHECK_FALSE(is_path_component(bad));
  }
  CHECK_FALSE(is_path_component(std::string_view("a\0b", 3)));
}

}  // namespace
}  // namespace cni::os
