#include "pkg/types/error.hpp"

#include <cerrno>

#include "test/support/catch.hpp"

namespace cni {
namespace {

TEST_CASE("an error prints its message and then its details") {
  CHECK(std::string(Error(Code::kInternal, "message").what()) == "message");
  CHECK(std::string(Error(Code::kInternal, "message", "details").what()) == "message; details");
}

TEST_CASE("a prefix and details are added to an error without touching its code") {
  Error error(Code::kInvalidNetns, "no such file", "first", ENOENT);
  error.prepend("open netns");
  error.add_detail("");
  error.add_detail("second");
  CHECK(error.code == Code::kInvalidNetns);
  CHECK(error.msg == "open netns: no such file");
  CHECK(error.details == "first; second");
  CHECK(error.sys_errno == ENOENT);
}

TEST_CASE("the text of an errno starts small unless it starts with an acronym") {
  CHECK(errno_text(ENOENT) == "no such file or directory");
  CHECK(errno_text(EIO) == "input/output error");
  CHECK(errno_text(EXDEV) == "invalid cross-device link");
  CHECK(errno_text(123456) == "error 123456");
}

TEST_CASE("a system error names the operation and keeps the errno") {
  const Error error = system_error("add route 10.0.0.0/8", ENETUNREACH);
  CHECK(error.msg == "add route 10.0.0.0/8: network is unreachable");
  CHECK(error.code == Code::kSystemCall);
  CHECK(error.sys_errno == ENETUNREACH);
}

TEST_CASE("quoting escapes what would spoil a log line") {
  CHECK(quote("plain") == "\"plain\"");
  CHECK(quote("a\"b\\c") == R"("a\"b\\c")");
  CHECK(quote("line\nfeed\r\t") == R"("line\nfeed\r\t")");
  CHECK(quote(std::string_view("\0\x1b\x7f", 3)) == R"("\x00\x1b\x7f")");
  CHECK(quote("\xc3\xbc") == "\"\xc3\xbc\"");
}

TEST_CASE("texts and numbers are joined") {
  CHECK(cat("mtu ", 1500, ' ', std::string("eth0"), std::string_view("!")) == "mtu 1500 eth0!");
}

TEST_CASE("context puts its prefix before an error and returns values") {
  CHECK(context("prefix", [] { return 7; }) == 7);
  try {
    context("outer",
            [] { context("inner", [] { throw Error(Code::kTryAgainLater, "busy", "details"); }); });
    FAIL("no error came out");
  } catch (const Error& error) {
    CHECK(error.msg == "outer: inner: busy");
    CHECK(error.code == Code::kTryAgainLater);
    CHECK(error.details == "details");
  }
}

TEST_CASE("an empty error list throws nothing") {
  const ErrorList errors;
  CHECK(errors.empty());
  CHECK_NOTHROW(errors.throw_if_any());
}

TEST_CASE("an error list throws the first code with all messages") {
  ErrorList errors;
  errors.run([] {});
  errors.run([] { throw Error(Code::kIoFailure, "first", "one"); });
  errors.add(Error(Code::kSystemCall, "second", "two", EBUSY));
  REQUIRE_FALSE(errors.empty());
  try {
    errors.throw_if_any();
    FAIL("no error came out");
  } catch (const Error& error) {
    CHECK(error.code == Code::kIoFailure);
    CHECK(error.msg == "first; second");
    CHECK(error.details == "one; two");
  }
}

}  // namespace
}  // namespace cni
