// What host-local leaves when something comes in between, seen from inside the process.
#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "test/unit/plugins/ipam/host_local_runtime.hpp"

namespace cni::host_local {
namespace {

TEST_CASE("host-local ADD that fails at any step leaves no address") {
  Runtime runtime(R"("ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"fd00::/64"}]])");
  runtime.add("kept");
  for (int failing = 1; failing <= 2; ++failing) {
    int steps = 0;
    Hooks hooks;
    hooks.on_undo_push = [&](std::string_view) {
      if (++steps == failing) throw Error(Code::kInternal, "injected");
    };
    const PluginRun result = runtime.run_with(runtime.document(), "ADD", "a", {}, hooks);
    CHECK(result.msg().find("injected") != std::string::npos);
    CHECK(result.details().empty());
    CHECK(steps == failing);
    CHECK(runtime.held() == 2);
  }
  Hooks hooks;
  hooks.before_print = [] { throw Error(Code::kInternal, "injected"); };
  CHECK_FALSE(runtime.run_with(runtime.document(), "ADD", "a", {}, hooks).ok());
  CHECK(runtime.held() == 2);
  CHECK(runtime.run("CHECK", "kept").ok());
  CHECK_FALSE(runtime.run("CHECK", "a").ok());
}

TEST_CASE("host-local ADD releases the first address when the second set is exhausted") {
  Runtime runtime(R"("ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"10.2.0.0/30"}]])");
  runtime.add("a");
  CHECK(runtime.run("ADD", "b").msg().find("failed to allocate for range 1: no IP addresses") == 0);
  CHECK(runtime.held() == 2);
}

TEST_CASE("host-local finds an address that somebody freed by hand while the lock was held") {
  Runtime runtime(R"("ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"10.2.0.0/30"}]])");
  runtime.add("a");
  Hooks hooks;
  hooks.on_undo_push = [&](std::string_view name) {
    if (name == "release 10.1.0.3") CHECK(os::remove_file(runtime.path("10.2.0.2")));
  };
  const PluginRun result = runtime.run_with(runtime.document(), "ADD", "b", {}, hooks);
  INFO(result.describe());
  REQUIRE(result.ok());
  CHECK(runtime.content("10.2.0.2") == "b\r\neth0");
}

TEST_CASE(
    "host-local finds another address when somebody took one by hand while the lock was held") {
  Runtime runtime(R"("ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"10.2.0.0/24"}]])");
  Hooks hooks;
  hooks.on_undo_push = [&](std::string_view name) {
    if (name == "release 10.1.0.2") runtime.write("10.2.0.2", "reserved by hand");
  };
  const PluginRun result = runtime.run_with(runtime.document(), "ADD", "b", {}, hooks);
  INFO(result.describe());
  REQUIRE(result.ok());
  CHECK(runtime.content("10.2.0.3") == "b\r\neth0");
  CHECK(runtime.content("10.2.0.2") == "reserved by hand");
}

}  // namespace
}  // namespace cni::host_local
