#include "pkg/os/fd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <thread>

#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"

namespace cni::os {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

struct Pipe {
  explicit Pipe(int flags) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC | flags) == 0);
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
  Fd read;
  Fd write;
};

TEST_CASE("a descriptor is closed with its last owner") {
  Fd first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int number = first.get();
  REQUIRE(first);
  Fd second = std::move(first);
  CHECK(is_open(number));
  second.reset();
  CHECK_FALSE(second);
  CHECK_FALSE(is_open(number));
}

TEST_CASE("a released descriptor stays open") {
  Fd owner(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int number = owner.release();
  owner.reset();
  CHECK(is_open(number));
  CHECK(::close(number) == 0);
}

TEST_CASE("assigning a descriptor closes the one before") {
  Fd owner(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int old = owner.get();
  owner = Fd(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  CHECK(is_open(owner.get()));
  CHECK_FALSE(is_open(old));
}

TEST_CASE("reading and writing wait on streams in non-blocking mode") {
  Pipe pipe(O_NONBLOCK);
  const std::string text(1000000, 'x');
  std::thread writer([&] {
    ::usleep(20000);
    write_all(pipe.write.get(), text, "write");
    pipe.write.reset();
  });
  CHECK(read_all(pipe.read.get(), "read") == text);
  writer.join();
}

TEST_CASE("a failed read names what was read") {
  const Fd closed;
  try {
    (void)read_all(closed.get(), "error reading from stdin");
    FAIL("no error came out");
  } catch (const Error& error) {
    CHECK(error.code == Code::kIoFailure);
    CHECK(error.msg == "error reading from stdin: bad file descriptor");
  }
}

}  // namespace
}  // namespace cni::os
