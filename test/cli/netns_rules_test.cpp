// CNI_NETNS: the host's own, gone, or something else than a namespace.
#include <sys/stat.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>

#include "test/support/ip_json.hpp"
#include "test/support/scenario.hpp"
#include "test/support/snapshot.hpp"

namespace cni::test {
namespace {

constexpr const char* kOwn = "plugin's netns and netns from CNI_NETNS should not be the same";

bool uses_netns(const Scenario& what) {
  constexpr std::string_view kWithout[] = {"host-local", "static", "firewall", "portmap"};
  return std::find(std::begin(kWithout), std::end(kWithout), what.plugin) == std::end(kWithout);
}

TEST_CASE("the host's own namespace is refused before anything is done", "[cli][netns]") {
  for (const Scenario& what : scenarios()) {
    for (const char* command : {"ADD", "DEL"}) {
      INFO(what.name << " " << command);
      const Namespaces namespaces;
      prepare_host(what);
      const Snapshot before = take({});
      Call call = call_of(what, command, "own");
      for (const char* path : {"/proc/self/ns/net", "/proc/1/../thread-self/ns/net"}) {
        call.netns = path;
        check_error(cni::test::call(what.plugin, call), 8, kOwn);
      }
      CHECK(diff(before, take({})) == "");
    }
  }
}

TEST_CASE("CNI_NETNS_OVERRIDE lifts the refusal of the host's own namespace", "[cli][netns]") {
  const Namespaces namespaces;
  const Scenario& what = scenario("loopback");
  Call call = call_of(what, "ADD", "own");
  call.netns = "/proc/self/ns/net";
  for (const char* value : {"1", "true", "TRUE", "True"}) {
    call.more_environment = {std::string("CNI_NETNS_OVERRIDE=") + value};
    const PluginRun run = cni::test::call(what.plugin, call);
    INFO(value << ": " << run.describe());
    CHECK(run.ok());
  }
  for (const char* value : {"", "0", "false", "yes"}) {
    call.more_environment = {std::string("CNI_NETNS_OVERRIDE=") + value};
    check_error(cni::test::call(what.plugin, call), 8, kOwn);
  }
}

// Paths that are no namespace, made on the private host.
std::vector<std::string> bad_paths() {
  write_file("/run/plain-file", "");
  REQUIRE(::mkdir("/run/folder", 0755) == 0);
  REQUIRE(::symlink("/run/nowhere", "/run/dangling") == 0);
  REQUIRE(::mkfifo("/run/fifo", 0600) == 0);
  return {"/run/plain-file",  "/run/folder",           "/run/dangling", "/run/fifo",
          "/run/netns/gone",  "/run/plain-file/below", "relative",      "/proc/999999999/ns/net",
          "/proc/self/status"};
}

TEST_CASE("ADD into something that is no namespace fails with code 8 and leaves nothing",
          "[cli][netns]") {
  for (const Scenario& what : scenarios()) {
    if (!uses_netns(what)) continue;
    const Namespaces namespaces;
    prepare_host(what);
    const std::vector<std::string> paths = bad_paths();
    const Snapshot before = without_shared(take({}));
    for (const std::string& path : paths) {
      INFO(what.name << " in " << path);
      Call call = call_of(what, "ADD", "one");
      call.netns = path;
      const PluginRun run = cni::test::call(what.plugin, call);
      check_error(run, 8, "");
      CHECK(run.msg().find(path) != std::string::npos);
    }
    INFO(what.name);
    CHECK(diff(before, without_shared(take({}))) == "");
  }
}

TEST_CASE("address management does not look at CNI_NETNS", "[cli][netns]") {
  for (const char* name : {"host-local", "static"}) {
    const Namespaces namespaces;
    for (const std::string& path : bad_paths()) {
      const Scenario& what = scenario(name);
      for (const char* command : {"ADD", "DEL"}) {
        INFO(what.name << " " << command << " in " << path);
        Call call = call_of(what, command, "one");
        call.netns = path;
        CHECK(cni::test::call(what.plugin, call).ok());
      }
    }
  }
}

TEST_CASE("ADD names CNI_NETNS in the result as it was given", "[cli][netns]") {
  for (const Scenario& what : scenarios()) {
    if (!uses_netns(what) || hands_on_result(what) || !works_here(what)) continue;
    INFO(what.name);
    Namespaces namespaces;
    prepare_host(what);
    (void)namespaces.container("one");
    connect_container(what, "one");
    Call call = call_of(what, "ADD", "one");
    call.netns = "/run/../run/netns//one";
    const PluginRun run = cni::test::call(what.plugin, call);
    INFO(run.describe());
    REQUIRE(run.ok());
    const json& interfaces = run.document.at("interfaces");
    CHECK(std::any_of(interfaces.begin(), interfaces.end(), [](const json& interface) {
      return interface.value("sandbox", "") == "/run/../run/netns//one";
    }));
  }
}

}  // namespace
}  // namespace cni::test
