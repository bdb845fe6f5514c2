// What becomes of an ADD whose streams are closed, broken or full.
#include <string>

#include "test/support/ip_json.hpp"
#include "test/support/scenario.hpp"
#include "test/support/snapshot.hpp"

namespace cni::test {
namespace {

using Stream = Call::Stream;

// A warm host, where what attachments share exists already, and a fresh container "one".
Snapshot warm_up(Namespaces& namespaces, const Scenario& what) {
  prepare_host(what);
  (void)namespaces.container("warm");
  (void)namespaces.container("one");
  for (const char* container : {"warm", "one"}) prepare_container(what, container);
  for (const char* container : {"warm", "one"}) connect_container(what, container);
  for (const char* command : {"ADD", "DEL"}) {
    const PluginRun run = call(what.plugin, call_of(what, command, "warm"));
    INFO(run.describe());
    REQUIRE(run.ok());
  }
  return without_shared(take({"one"}));
}

void check_nothing_is_left(const Scenario& what, Stream stdout_stream) {
  INFO("scenario " << what.name);
  Namespaces namespaces;
  const Snapshot before = warm_up(namespaces, what);
  Call call = call_of(what, "ADD", "one");
  call.stdout_stream = stdout_stream;
  const PluginRun run = cni::test::call(what.plugin, call);
  CHECK(run.status == 1);
  CHECK(run.signal == 0);
  CHECK(diff(before, without_shared(take({"one"}))) == "");
  call.stdout_stream = Stream::kFile;
  const PluginRun again = cni::test::call(what.plugin, call);
  INFO(again.describe());
  CHECK(again.ok());
}

void check_all(Stream stdout_stream) {
  for (const Scenario& what : scenarios()) {
    // Kinds and programs that are absent are the subject of other cases, which skip.
    if (!works_here(what)) continue;
    check_nothing_is_left(what, stdout_stream);
  }
}

TEST_CASE("an ADD whose stdout is closed fails and leaves nothing", "[cli][netns]") {
  check_all(Stream::kClosed);
}

TEST_CASE("an ADD whose stdout is full fails and leaves nothing", "[cli][netns]") {
  check_all(Stream::kFullDevice);
}

TEST_CASE("an ADD whose stdout nobody reads fails and leaves nothing", "[cli][netns]") {
  check_all(Stream::kBrokenPipe);
}

TEST_CASE("a closed stdin is an input error and nothing else happens", "[cli]") {
  const Namespaces namespaces;
  const Snapshot before = take({});
  for (const std::string& plugin : plugin_executables()) {
    for (const char* command : {"ADD", "DEL", "CHECK", "GC", "STATUS"}) {
      INFO(plugin << " " << command);
      Call call;
      call.command = command;
      call.netns = "/run/netns/none";
      call.stdin_stream = Stream::kClosed;
      check_error(cni::test::call(plugin, call), 5, "error reading from stdin: ");
    }
  }
  CHECK(diff(before, take({})) == "");
}

TEST_CASE("VERSION with a closed stdout fails", "[cli]") {
  for (const std::string& plugin : plugin_executables()) {
    INFO(plugin);
    Call call;
    call.command = "VERSION";
    for (const Stream stream : {Stream::kClosed, Stream::kFullDevice, Stream::kBrokenPipe}) {
      call.stdout_stream = stream;
      const PluginRun run = cni::test::call(plugin, call);
      CHECK(run.status == 1);
      CHECK(run.signal == 0);
    }
  }
}

TEST_CASE("an error whose stdout is closed is still an exit status", "[cli]") {
  for (const std::string& plugin : plugin_executables()) {
    INFO(plugin);
    Call call;
    call.command = "NONE";
    call.input = "{}";
    call.stdout_stream = Stream::kClosed;
    CHECK(cni::test::call(plugin, call).status == 1);
  }
}

}  // namespace
}  // namespace cni::test
