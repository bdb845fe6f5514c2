#include "pkg/delegate/delegate.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "pkg/os/fd.hpp"
#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/temporary_folder.hpp"

namespace cni::delegate {
namespace {

using skel::Command;
using skel::Request;
using test::TemporaryFolder;

// What an error says, with its code in front and its details behind.
template <class Fn>
std::string failure(Fn&& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return cat(static_cast<unsigned>(error.code), " ", error.msg, error.details.empty() ? "" : "; ",
               error.details);
  }
  return "no error";
}

void plant(const std::string& path, const std::string& script) {
  test::write_file(path, "#!/bin/sh\n" + script + "\n");
  REQUIRE(::chmod(path.c_str(), 0755) == 0);
}

Request request_in(const TemporaryFolder& folder) {
  Request request;
  request.path = folder.path();
  request.stdin_data = R"({"cniVersion":"1.0.0","name":"net"})";
  request.config = NetConf::parse(request.stdin_data);
  request.environment = {"PATH=/usr/bin:/bin", "CNI_COMMAND=CHECK", "CNI_CONTAINERID=one",
                         "CNI_COMMAND=GC"};
  return request;
}

Result add(const Request& request) { return Delegate(request, "tool", Command::kAdd).finish_add(); }

TEST_CASE("a delegate's type is one component of a path") {
  CHECK_NOTHROW(check_type("host-local"));
  CHECK_NOTHROW(check_type("..."));
  CHECK(failure([] { check_type(""); }) == "7 no plugin name provided");
  for (const char* bad : {"/", "a/b", "../a", "..", ".", "a\\b", "/bin/sh"}) {
    CHECK(failure([&] { check_type(bad); }).rfind(cat("7 invalid plugin name: ", bad), 0) == 0);
  }
  CHECK(failure([] {
          check_type(std::string_view("a\0b", 3));
        }).rfind("7 invalid plugin name: ", 0) == 0);
}

TEST_CASE("a delegate is the first regular file of its name in CNI_PATH") {
  const TemporaryFolder folder;
  for (const char* name : {"a", "b", "c", "a/tool"})
    REQUIRE(::mkdir((folder / name).c_str(), 0700) == 0);
  test::write_file(folder / "b/tool", "");
  test::write_file(folder / "c/tool", "");
  const std::string path =
      cat(folder / "a", ":", folder / "none", "::", folder / "b", ":", folder / "c");
  CHECK(find_in_path("tool", path) == folder / "b/tool");
  CHECK(failure([&] { (void)find_in_path("other", cat(folder / "a", ":", folder / "b")); }) ==
        cat("103 failed to find plugin \"other\" in path [", folder / "a", " ", folder / "b", "]"));
  CHECK(failure([] { (void)find_in_path("tool", ""); }) == "4 no paths provided");
  CHECK(failure([] { (void)find_in_path("tool", "::"); }) == "4 no paths provided");
}

TEST_CASE("a delegate gets the whole configuration and environment with its own command") {
  const TemporaryFolder folder;
  plant(folder / "tool", "cat; echo; env | grep ^CNI_ | sort");
  CHECK(run(request_in(folder), "tool", Command::kDel) ==
        "{\"cniVersion\":\"1.0.0\",\"name\":\"net\"}\nCNI_COMMAND=DEL\nCNI_CONTAINERID=one\n");
}

TEST_CASE("the log text of a successful delegate goes to ours") {
  const TemporaryFolder folder;
  plant(folder / "tool", "echo some log >&2");
  test::write_file(folder / "log", "");
  Request request = request_in(folder);
  const os::Fd log_file(::open((folder / "log").c_str(), O_WRONLY | O_CLOEXEC));
  request.err = log_file.get();
  (void)run(request, "tool", Command::kDel);
  CHECK(test::file_text(folder / "log") == "some log\n");
}

TEST_CASE("a delegate's error object keeps its code and message and details") {
  const TemporaryFolder folder;
  plant(folder / "tool",
        R"(echo '{"cniVersion":"1.0.0","code":11,"msg":"later","details":"busy"}'; exit 1)");
  CHECK(failure([&] { (void)run(request_in(folder), "tool", Command::kAdd); }) == "11 later; busy");
}

TEST_CASE("a delegate that dies without an error object is named with its end") {
  const TemporaryFolder folder;
  const auto dies = [&](const char* script) {
    plant(folder / "tool", script);
    return failure([&] { (void)run(request_in(folder), "tool", Command::kAdd); });
  };
  CHECK(dies("exit 3") == "103 netplugin failed with no error message: exit status 3; plugin tool");
  CHECK(dies("kill -KILL $$") ==
        "103 netplugin failed with no error message: signal: killed; plugin tool");
  CHECK(dies("echo oops >&2; exit 1") ==
        "103 netplugin failed: \"oops\\n\": exit status 1; plugin tool");
  const std::string garbled = dies("echo '{garbage'; echo more >&2; exit 1");
  CHECK(garbled.rfind(
            "103 netplugin failed but error parsing its diagnostic message \"{garbage\\n\": ", 0) ==
        0);
  CHECK(garbled.find("stderr: more") != std::string::npos);
  CHECK(dies("printf '%05000d' 0 >&2; exit 1").size() < 3000);
}

TEST_CASE("a delegate that cannot be run is an error that names it") {
  const TemporaryFolder folder;
  test::write_file(folder / "tool", "no program");
  CHECK(failure([&] { (void)run(request_in(folder), "tool", Command::kAdd); }) ==
        cat("103 run ", folder / "tool", ": permission denied"));
}

TEST_CASE("a delegate that is being replaced is run once it is there") {
  const TemporaryFolder folder;
  plant(folder / "tool", "echo done");
  os::Fd writer(::open((folder / "tool").c_str(), O_WRONLY | O_CLOEXEC));
  REQUIRE(writer);
  std::thread closer([&] {
    ::usleep(20000);
    writer.reset();
  });
  CHECK(run(request_in(folder), "tool", Command::kAdd) == "done\n");
  closer.join();
}

TEST_CASE("a delegate that was started ahead gets its configuration when it is to begin") {
  const TemporaryFolder folder;
  const std::string note = folder / "note";
  plant(folder / "tool", cat("input=$(cat); printf %s \"$input\" > ", note, "; echo done"));
  const Request request = request_in(folder);
  Delegate delegate(request, "tool", Command::kAdd);
  ::usleep(50000);
  CHECK(::access(note.c_str(), F_OK) != 0);
  delegate.begin();
  CHECK(delegate.finish() == "done\n");
  CHECK(test::file_text(note) == request.stdin_data);
}

TEST_CASE("a delegate that is never to begin does nothing") {
  const TemporaryFolder folder;
  plant(folder / "tool", cat("cat; touch ", folder / "note"));
  const Request request = request_in(folder);
  { const Delegate delegate(request, "tool", Command::kAdd); }
  CHECK(::access((folder / "note").c_str(), F_OK) != 0);
}

TEST_CASE("a result without version is taken to have the configuration's") {
  const TemporaryFolder folder;
  plant(folder / "tool", R"(echo '{"ips":[{"address":"10.0.0.2/24"}]}')");
  CHECK(add(request_in(folder)).ips.at(0).address.to_string() == "10.0.0.2/24");
  plant(folder / "tool", R"(echo '{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.3/24"}}')");
  CHECK(add(request_in(folder)).ips.at(0).address.to_string() == "10.0.0.3/24");
  plant(folder / "tool", "echo null");
  CHECK(add(request_in(folder)).ips.empty());
}

TEST_CASE("a result that is none is an error that names the delegate") {
  const TemporaryFolder folder;
  plant(folder / "tool", "echo '{'");
  CHECK(failure([&] {
          (void)add(request_in(folder));
        }).rfind("6 result of plugin tool: failed to unmarshal raw result: ", 0) == 0);
  plant(folder / "tool", "exit 0");
  CHECK(failure([&] {
          (void)add(request_in(folder));
        }).rfind("6 result of plugin tool: failed to unmarshal raw result: ", 0) == 0);
  plant(folder / "tool", R"(echo '{"cniVersion":"7.0.0"}')");
  CHECK(failure([&] { (void)add(request_in(folder)); }) ==
        "1 result of plugin tool: unsupported CNI result version \"7.0.0\"");
}

}  // namespace
}  // namespace cni::delegate
