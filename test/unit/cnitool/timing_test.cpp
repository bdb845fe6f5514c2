#include "cnitool/timing.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>

#include "pkg/os/file.hpp"
#include "test/support/catch.hpp"
#include "test/support/temporary_folder.hpp"

using namespace cni;
using cnitool::Timing;

namespace {

std::int64_t now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace

TEST_CASE("Notes are read in the order of the starts and without what is torn") {
  const auto runs = cnitool::read_notes(
      "begin\t20\t1\t21\t500\tADD\thost-local\n"
      "begin\t10\t1\t11\t400\tADD\tbridge\n"
      "nonsense\nend\t99\t1\t0\n"
      "end\t20\t900\t1\nend\t10\t990\t0\nbegin\t30\t1\t3");
  REQUIRE(runs.size() == 2);
  CHECK(runs[0].type == "bridge");
  CHECK(runs[0].child == 11);
  CHECK(runs[0].end == 990);
  CHECK(!runs[0].failed);
  CHECK(runs[1].type == "host-local");
  CHECK(runs[1].parent == 1);
  CHECK(runs[1].start == 500);
  CHECK(runs[1].failed);
}

TEST_CASE("The folder has a link for each plugin and goes with its object") {
  const test::TemporaryFolder folder;
  for (const char* name : {"first", "second"}) os::make_directories(folder / name);
  test::write_file(folder / "first/bridge", "");
  test::write_file(folder / "first/cnitool", "");
  test::write_file(folder / "second/bridge", "");
  test::write_file(folder / "second/host-local", "");
  os::make_directories(folder / "second/subfolder");
  std::string made;
  {
    const Timing timing({folder / "first", folder / "second", folder / "absent"}, "/the/cnitool",
                        folder.path());
    made = timing.folder();
    char target[256] = {};
    REQUIRE(::readlink(cat(made, "/bridge").c_str(), target, sizeof target - 1) > 0);
    CHECK(std::string(target) == "/the/cnitool");
    char real[256] = {};
    REQUIRE(::readlink(cat(made, "/.targets/bridge").c_str(), real, sizeof real - 1) > 0);
    CHECK(std::string(real) == folder / "first/bridge");
    struct stat status {};
    CHECK(::lstat(cat(made, "/host-local").c_str(), &status) == 0);
    CHECK(::lstat(cat(made, "/cnitool").c_str(), &status) != 0);
    CHECK(::lstat(cat(made, "/subfolder").c_str(), &status) != 0);
    REQUIRE(::stat(made.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0700);
  }
  CHECK(!exists(made));
}

TEST_CASE("Delegates stand below the plugin that ran when they started") {
  const test::TemporaryFolder folder;
  Timing timing({}, "/the/cnitool", folder.path());
  const std::int64_t start = now();
  const std::string notes = cat(
      "begin\t10\t", ::getpid(), "\t11\t", start, "\tADD\tbridge\n",  // the chain's plugin itself
      "begin\t20\t11\t21\t", start, "\tADD\thost-local\n",            // its delegate
      "begin\t30\t21\t31\t", start, "\tADD\tdeeper\n",                // the delegate's
      "begin\t40\t99\t41\t", start, "\tADD\tby-shell\n",              // of an unknown parent
      "end\t30\t", start + 2'000'000, "\t0\n", "end\t20\t", start + 3'000'000, "\t1\n", "end\t10\t",
      start + 5'000'000, "\t1\n");
  test::write_file(cat(timing.folder(), '/', Timing::kNotes), notes);
  const Error failure(Code::kConflict, "no");
  timing.note({.type = "bridge",
               .command = skel::Command::kAdd,
               .duration = std::chrono::nanoseconds(now() - start) + std::chrono::seconds(1),
               .error = &failure});
  CHECK(timing.document().dump() ==
        R"([{"command":"ADD","delegates":[)"
        R"({"command":"ADD","delegates":[{"command":"ADD","ms":2.0,"type":"deeper"}],)"
        R"("failed":true,"ms":3.0,"type":"host-local"},)"
        R"({"command":"ADD","killed":true,"type":"by-shell"}],)"
        R"("failed":true,"ms":5.0,"type":"bridge"}])");
  const auto table = timing.table();
  REQUIRE(table.size() == 5);
  CHECK(table[1] == std::vector<std::string>{"bridge", "ADD", "5.0", "failed"});
  CHECK(table[2] == std::vector<std::string>{"  host-local", "ADD", "3.0", "failed"});
  CHECK(table[3] == std::vector<std::string>{"    deeper", "ADD", "2.0", ""});
  CHECK(table[4] == std::vector<std::string>{"  by-shell", "ADD", "-", "killed"});
}
