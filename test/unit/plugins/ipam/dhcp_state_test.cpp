#include "plugins/ipam/dhcp/daemon/state.hpp"

#include <sys/stat.h>

#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/temporary_folder.hpp"

namespace cni::dhcp {
namespace {

Record record(const std::string& id = "c1") {
  Record out;
  out.request.key = {id, "net", "eth0"};
  out.request.netns = "/run/netns/" + id;
  out.request.request = {3, 1};
  out.lease.ipv4 = Lease4{};
  out.lease.ipv4->address = Prefix::parse("192.0.2.5/24").value();
  out.lease.ipv4->server = Ip::parse("192.0.2.1").value();
  out.lease.ipv4->timing = {Time(10), Time(20), Time(30)};
  out.identity = {
      .netns_cookie = 1ULL << 63, .link_index = 7, .mac = *Mac::parse("02:00:00:00:00:01")};
  return out;
}

unsigned mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 0777U;
}

TEST_CASE("dhcp leases come back from disk as they were saved") {
  const test::TemporaryFolder temporary;
  const std::string folder = temporary / "a/b";
  {
    StateFolder state(folder, "boot");
    state.save(record());
    state.save(record("c2"));
    state.save(record("c2"));
    state.remove(record("c3").request.key);
  }
  CHECK(mode_of(folder) == 0700);
  CHECK(mode_of(folder + "/" + StateFolder::file_name(record().request.key)) == 0600);
  StateFolder state(folder, "boot");
  const StateFolder::Found found = state.load();
  CHECK(found.warnings.empty());
  REQUIRE(found.records.size() == 2);
  const Record& first = found.records[found.records[0].request.key.container_id == "c1" ? 0 : 1];
  CHECK(first.request == record().request);
  CHECK(first.lease == record().lease);
  CHECK(first.identity == record().identity);
  state.remove(record().request.key);
  CHECK(state.load().records.size() == 1);
}

TEST_CASE("dhcp leases of another start of the machine are removed") {
  const test::TemporaryFolder folder;
  StateFolder(folder.path(), "before").save(record());
  const StateFolder::Found found = StateFolder(folder.path(), "after").load();
  CHECK(found.records.empty());
  CHECK(found.warnings.empty());
  CHECK(os::list_directory(folder.path()).empty());
}

TEST_CASE("files that are no dhcp leases are reported and left alone") {
  const test::TemporaryFolder folder;
  StateFolder state(folder.path(), "boot");
  state.save(record());
  const std::string name = StateFolder::file_name(record().request.key);
  const std::string whole = test::file_text(folder / name);
  test::write_file(folder / "torn.json", whole.substr(0, whole.size() / 2));
  test::write_file(folder / "empty.json", "");
  test::write_file(folder / "copy.json", whole);
  test::write_file(folder / "list.json", "[]");
  test::write_file(folder / "large.json", std::string(2 * 1024 * 1024, ' '));
  os::make_directories(folder / "folder.json");
  REQUIRE(::symlink("/proc/kmsg", (folder / "link.json").c_str()) == 0);
  REQUIRE(::mkfifo((folder / "fifo.json").c_str(), 0600) == 0);
  test::write_file(folder / ".cni-tmp-0123", "half");
  const StateFolder::Found found = state.load();
  CHECK(found.records.size() == 1);
  CHECK(found.warnings.size() == 8);
  for (const std::string& warning : found.warnings) {
    CHECK_THAT(warning, Catch::Matchers::StartsWith(folder.path() + "/"));
  }
  CHECK(os::list_directory(folder.path()).size() == 9);  // what was half written is gone
}

TEST_CASE("dhcp leases of a newer daemon are neither read nor touched") {
  const test::TemporaryFolder folder;
  StateFolder state(folder.path(), "boot");
  const std::string path = folder / StateFolder::file_name(record().request.key);
  test::write_file(path, R"({"version":2,"bootId":"another"})");
  const StateFolder::Found found = state.load();
  CHECK(found.records.empty());
  REQUIRE(found.warnings.size() == 1);
  CHECK_THAT(found.warnings[0], Catch::Matchers::Contains("its version is 2"));
  CHECK_THROWS_WITH(state.save(record()), Catch::Matchers::Contains("newer dhcp daemon"));
  CHECK_THROWS_WITH(state.remove(record().request.key),
                    Catch::Matchers::Contains("newer dhcp daemon"));
  CHECK(test::file_text(path) == R"({"version":2,"bootId":"another"})");
}

TEST_CASE("the names of dhcp leases are file names and differ with the key") {
  for (const LeaseKey& key : {LeaseKey{"../../etc/passwd", "a/b", ".."}, LeaseKey{"", "", ""},
                              LeaseKey{std::string(300, 'x'), std::string(300, 'y'), "eth0"},
                              LeaseKey{"\n", "\xff", "\x01"}}) {
    const std::string name = StateFolder::file_name(key);
    CHECK(os::is_path_component(name));
    CHECK(name.size() < 100);
    CHECK(name.front() != '.');
    CHECK(name.find_first_not_of(
              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
          std::string::npos);
  }
  CHECK(StateFolder::file_name({"a", "b/c", "d"}) != StateFolder::file_name({"a/b", "c", "d"}));
  CHECK(StateFolder::file_name({"a", "b", "eth0"}) != StateFolder::file_name({"a", "b", "eth1"}));
}

TEST_CASE("a second daemon does not share the folder of dhcp leases") {
  const test::TemporaryFolder folder;
  const StateFolder first(folder.path(), "boot");
  CHECK_THROWS_WITH(
      StateFolder(folder.path(), "boot"),
      Catch::Matchers::Contains("another dhcp daemon keeps its leases in " + folder.path()));
}

TEST_CASE("a dhcp lease that cannot be written is an error and no half file") {
  const test::TemporaryFolder folder;
  StateFolder state(folder / "gone", "boot");
  test::remove_tree(folder / "gone");
  CHECK_THROWS_AS(state.save(record()), Error);
}

}  // namespace
}  // namespace cni::dhcp
