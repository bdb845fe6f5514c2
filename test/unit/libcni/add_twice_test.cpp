// An add of what is attached already.
#include <sys/stat.h>

#include <string>

#include "libcni/runtime.hpp"
#include "pkg/os/file.hpp"
#include "test/support/catch.hpp"
#include "test/support/temporary_folder.hpp"

using namespace cni;

namespace {

// A plugin that notes its calls, and fails an ADD while the file "fail" is there.
constexpr const char* kPlugin = R"(#!/bin/sh
folder=$(dirname "$0")
cat >/dev/null
echo "$CNI_COMMAND" >>"$folder/calls"
[ "$CNI_COMMAND" = ADD ] || exit 0
if [ -e "$folder/fail" ]; then echo '{"code": 106, "msg": "taken"}'; exit 1; fi
echo '{"cniVersion": "1.0.0"}'
)";

}  // namespace

TEST_CASE("A failed add of what is attached already deletes nothing") {
  const test::TemporaryFolder folder;
  test::write_file(folder / "fake", kPlugin);
  REQUIRE(::chmod((folder / "fake").c_str(), 0755) == 0);
  const libcni::Runtime runtime(
      {.plugin_folders = {folder.path()}, .cache_folder = folder / "cache", .environment = {}});
  const libcni::Network network = libcni::parse_network_list(
      R"({"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "fake"}]})");
  const libcni::ContainerInterface where{.container_id = "c",
                                         .netns = "/run/netns/c",
                                         .ifname = "eth0",
                                         .arguments = {},
                                         .capability_args = {}};

  // Without an earlier one, a failure is undone.
  test::write_file(folder / "fail", "");
  REQUIRE_THROWS_AS(runtime.add(network, where), Error);
  CHECK(test::file_text(folder / "calls") == "ADD\nDEL\n");

  (void)os::remove_file(folder / "fail");
  (void)runtime.add(network, where);
  test::write_file(folder / "fail", "");
  (void)os::remove_file(folder / "calls");
  std::string details;
  try {
    (void)runtime.add(network, where);
  } catch (const Error& error) {
    details = error.details;
  }
  CHECK(details.find("it was attached before, and stays so") != std::string::npos);
  CHECK(test::file_text(folder / "calls") == "ADD\n");
  CHECK(runtime.cache().load("n", "c", "eth0").has_value());
}
