// A delegate's type with separators must never be run (CVE-2021-20206).
#include <sys/stat.h>

#include <string>

#include "test/support/ip_json.hpp"
#include "test/support/scenario.hpp"
#include "test/support/skip.hpp"

namespace cni::test {
namespace {

constexpr const char* kTypes[] = {"../evil", "./evil",         "/run/evil",   "sub/evil", "..",
                                  ".",       "../../run/evil", "sub/../evil", "a\\evil"};

// An executable that tells that it was run.
void plant(const std::string& path) {
  write_file(path, "#!/bin/sh\n: > /run/was-run\necho '{\"cniVersion\":\"1.1.0\"}'\n");
  REQUIRE(::chmod(path.c_str(), 0755) == 0);
}

void plant_everywhere() {
  for (const char* folder : {"/run/bin", "/run/bin/sub"}) REQUIRE(::mkdir(folder, 0755) == 0);
  for (const char* path : {"/run/evil", "/run/bin/evil", "/run/bin/sub/evil", "/run/bin/a\\evil"})
    plant(path);
}

bool was_run() { return ::access("/run/was-run", F_OK) == 0; }

Call call_with_type(const Scenario& what, const char* command, const char* type) {
  Scenario changed = what;
  changed.config["ipam"]["type"] = type;
  Call call = call_of(changed, command, "one");
  call.path = "/run/bin";
  return call;
}

TEST_CASE("a planted delegate is run by its plain name", "[cli][netns]") {
  // Shows that the cases below could fail.
  Namespaces namespaces;
  (void)namespaces.container("one");
  plant_everywhere();
  (void)call("ptp", call_with_type(scenario("ptp"), "DEL", "evil"));
  CHECK(was_run());
}

TEST_CASE("a delegate type with separators is never run and named in the error", "[cli][netns]") {
  for (const char* name : {"bridge", "ptp", "macvlan", "ipvlan", "vlan", "dummy"}) {
    const Scenario& what = scenario(name);
    if (!works_here(what)) continue;
    Namespaces namespaces;
    prepare_host(what);
    (void)namespaces.container("one");
    plant_everywhere();
    for (const char* type : kTypes) {
      for (const char* command : {"ADD", "DEL", "STATUS", "GC"}) {
        INFO(name << " " << command << " " << type);
        const PluginRun run = call(what.plugin, call_with_type(what, command, type));
        check_error(run, 7, std::string("invalid plugin name: ") + type);
        CHECK_FALSE(was_run());
      }
    }
    CHECK_FALSE(find_link_json("one", "eth0"));
  }
}

TEST_CASE("a delegate type with separators leads to no exec at all", "[cli][netns]") {
  (void)require_program("strace");
  Namespaces namespaces;
  const Scenario& what = scenario("bridge");
  (void)namespaces.container("one");
  plant_everywhere();
  for (const char* type : kTypes) {
    INFO(type);
    Call call = call_with_type(what, "ADD", type);
    call.wrapper = {"strace", "-f", "-qq", "-e", "trace=execve,execveat", "-o", "/run/trace"};
    (void)cni::test::call(what.plugin, call);
    const std::string trace = file_text("/run/trace");
    // The plugin itself, and nothing after it.
    CHECK(trace.find("exec") != std::string::npos);
    CHECK(trace.find("exec", trace.find("exec") + 1) == std::string::npos);
  }
}

}  // namespace
}  // namespace cni::test
