#include "cnitool/settings.hpp"

#include "pkg/os/file.hpp"

#include <string>

#include "test/support/catch.hpp"
#include "test/support/temporary_folder.hpp"

using namespace cni;
using namespace std::chrono_literals;

namespace {

template <class Fn>
std::string error_of(Fn&& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("Times are seconds unless they say otherwise") {
  CHECK(cnitool::parse_timeout("30") == 30s);
  CHECK(cnitool::parse_timeout("30s") == 30s);
  CHECK(cnitool::parse_timeout("500ms") == 500ms);
  CHECK(cnitool::parse_timeout("2m") == 2min);
  CHECK(cnitool::parse_timeout("0") == 0s);
  for (const char* wrong : {"", "s", "-1", "1h", "1.5", "99999999999", "1000001"}) {
    INFO(wrong);
    CHECK(error_of([&] { (void)cnitool::parse_timeout(wrong); }).starts_with("--timeout: "));
  }
}

TEST_CASE("CNI_ARGS are pairs of which neither half is empty") {
  CHECK(cnitool::parse_arguments("").empty());
  CHECK(cnitool::parse_arguments("K=V;K2=a=b") == libcni::Arguments{{"K", "V"}, {"K2", "a=b"}});
  CHECK(error_of([] { (void)cnitool::parse_arguments("K=V;x"); }) == "invalid CNI_ARGS pair \"x\"");
  CHECK(error_of([] { (void)cnitool::parse_arguments("K="); }) == "invalid CNI_ARGS pair \"K=\"");
  CHECK(error_of([] { (void)cnitool::parse_arguments("=V"); }) == "invalid CNI_ARGS pair \"=V\"");
  CHECK(error_of([] { (void)cnitool::parse_arguments("K=V;"); }) == "invalid CNI_ARGS pair \"\"");
}

TEST_CASE("A later argument takes the place of an earlier one") {
  libcni::Arguments arguments = {{"A", "1"}, {"B", "2"}};
  cnitool::add_arguments(arguments, {{"B", "3"}, {"C", "4"}});
  CHECK(arguments == libcni::Arguments{{"A", "1"}, {"B", "3"}, {"C", "4"}});
}

TEST_CASE("Capabilities of options are added to those of CAP_ARGS") {
  CHECK(cnitool::merge_capabilities("", {}).empty());
  CHECK(cnitool::merge_capabilities(R"({"ips": ["10.0.0.2/24"]})", {"mac=\"02:00:00:00:00:01\""}) ==
        R"({"ips":["10.0.0.2/24"],"mac":"02:00:00:00:00:01"})");
  CHECK(cnitool::merge_capabilities(R"({"a": 1})", {"a=2"}) == R"({"a":2})");
  CHECK(error_of([] { (void)cnitool::merge_capabilities("[]", {}); }).starts_with("CAP_ARGS: "));
  CHECK(error_of([] { (void)cnitool::merge_capabilities("{", {}); }).starts_with("CAP_ARGS: "));
  CHECK(error_of([] { (void)cnitool::merge_capabilities("", {"ips"}); }) ==
        "--capability: \"ips\" is not NAME=JSON");
  CHECK(error_of([] {
          (void)cnitool::merge_capabilities("", {"mac=x"});
        }).starts_with("--capability mac: "));
}

TEST_CASE("Paths become absolute as text") {
  CHECK(cnitool::absolute_path("/run/netns/x", "/home") == "/run/netns/x");
  CHECK(cnitool::absolute_path("x", "/run/netns") == "/run/netns/x");
  CHECK(cnitool::absolute_path("./a/../b//c/.", "/run") == "/run/b/c");
  CHECK(cnitool::absolute_path("../../..", "/run") == "/");
}

TEST_CASE("The container ID is that of the Go tool") {
  CHECK(cnitool::default_container_id("/var/run/netns/testing") == "cnitool-77383ca0a0715733ca6f");
}

TEST_CASE("Files are told by their names") {
  CHECK(os::folder_of("/a/b") == "/a");
  CHECK(os::folder_of("/a") == "/");
  CHECK(os::folder_of("a") == ".");
  CHECK(cnitool::is_network_file("10-mynet.conflist"));
  CHECK(cnitool::is_network_file("a.conf"));
  CHECK(cnitool::is_network_file("a.json"));
  CHECK(!cnitool::is_network_file("a.conf.bak"));
}

TEST_CASE("Folders are what stands between colons") {
  CHECK(cnitool::split_folders(":/a::/b:") == std::vector<std::string>{"/a", "/b"});
  CHECK(cnitool::split_folders("").empty());
}

TEST_CASE("Attachments are read with the number of the line in errors") {
  CHECK(cnitool::parse_attachment("c1/eth0") == Attachment{"c1", "eth0"});
  for (const char* wrong : {"c1", "/eth0", "c1/", "a/b/c", ""}) {
    INFO(wrong);
    CHECK(error_of([&] { (void)cnitool::parse_attachment(wrong); }).find("is no attachment") !=
          std::string::npos);
  }
  CHECK(cnitool::parse_attachment_lines("# all\n\n c1/eth0 \r\nc2/eth1\n") ==
        std::vector<Attachment>{{"c1", "eth0"}, {"c2", "eth1"}});
  CHECK(error_of([] {
          (void)cnitool::parse_attachment_lines("c1/eth0\nc2\n");
        }).starts_with("line 2: \"c2\" is no attachment"));
}

TEST_CASE("A file is a list or a plugin whatever its name is") {
  const test::TemporaryFolder folder;
  test::write_file(folder / "a.json", R"({"name": "n", "cniVersion": "1.0.0",
    "plugins": [{"type": "a"}, {"type": "b"}]})");
  CHECK(cnitool::load_any_network(folder / "a.json").plugins.size() == 2);
  test::write_file(folder / "b", R"({"name": "n", "cniVersion": "0.4.0", "type": "a",
    "cniVersions": ["1.1.0", "9.0.0"]})");
  const libcni::Network single = cnitool::load_any_network(folder / "b");
  CHECK(single.plugins.at(0).type == "a");
  CHECK(single.cni_version == "1.1.0");
  CHECK(single.file == folder / "b");
}

TEST_CASE("A file that is no network is named in the error") {
  const test::TemporaryFolder folder;
  const auto error = [&](const char* text) {
    test::write_file(folder / "x", text);
    return error_of([&] { (void)cnitool::load_any_network(folder / "x"); });
  };
  CHECK(error("[]") == cat(folder / "x", ": not a JSON object"));
  CHECK(error("{}") == cat(folder / "x", R"(: neither "plugins" nor "type" is there)"));
  CHECK(error("{").starts_with(cat(folder / "x", ": error parsing configuration: ")));
  CHECK(error_of([&] { (void)cnitool::load_any_network(folder / "none"); }) ==
        cat("there is no file ", folder / "none"));
}
