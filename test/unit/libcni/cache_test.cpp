#include "libcni/cache.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include "libcni/base64.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "test/support/json.hpp"
#include "test/support/temporary_folder.hpp"

namespace cni::libcni {
namespace {

using test::json;
using test::TemporaryFolder;
using test::write_file;

CachedAttachment whole() {
  return {.network = "net",
          .container_id = "one",
          .ifname = "eth0",
          .netns = "/run/netns/one",
          .network_text = R"({"name":"net","plugins":[]})",
          .arguments = {{"IgnoreUnknown", "1"}, {"K8S_POD_NAME", "pod"}},
          .capability_args = R"({"mac":"02:00:00:00:00:01"})",
          .result = R"({"cniVersion":"1.0.0"})",
          .file = {}};
}

// As the Go library writes it.
constexpr const char* kWrittenByGo =
    R"({"kind":"cniCacheV1","containerId":"one","config":"eyJuYW1lIjoibmV0IiwicGx1Z2lucyI6W119",)"
    R"("ifName":"eth0","networkName":"net","netns":"/run/netns/one",)"
    R"("cniArgs":[["IgnoreUnknown","1"],["K8S_POD_NAME","pod"]],)"
    R"("capabilityArgs":{"mac":"02:00:00:00:00:01"},"result":{"cniVersion":"1.0.0"}})";

void check_whole(const CachedAttachment& got) {
  const CachedAttachment expected = whole();
  CHECK(got.network == expected.network);
  CHECK(got.container_id == expected.container_id);
  CHECK(got.ifname == expected.ifname);
  CHECK(got.netns == expected.netns);
  CHECK(got.network_text == expected.network_text);
  CHECK(got.arguments == expected.arguments);
  CHECK(json::parse(got.capability_args) == json::parse(expected.capability_args));
  CHECK(json::parse(got.result) == json::parse(expected.result));
}

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 0777U;
}

TEST_CASE("base64 is that of RFC 4648") {
  const std::pair<const char*, const char*> rows[] = {{"", ""},
                                                      {"f", "Zg=="},
                                                      {"fo", "Zm8="},
                                                      {"foo", "Zm9v"},
                                                      {"foob", "Zm9vYg=="},
                                                      {"fooba", "Zm9vYmE="},
                                                      {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : rows) {
    CHECK(to_base64(plain) == coded);
    CHECK(from_base64(coded) == plain);
  }
  const std::string bytes("\x00\xff\x10\x80", 4);
  CHECK(from_base64(to_base64(bytes)) == bytes);
  for (const char* bad : {"Z", "Zg=", "Zg==Zg==", "Zm9!", "Z===", "===="}) {
    INFO(bad);
    CHECK_FALSE(from_base64(bad));
  }
}

TEST_CASE("what is stored is loaded and is what the Go library would write") {
  const TemporaryFolder folder;
  const Cache cache(folder / "cni");
  CHECK_FALSE(cache.load("net", "one", "eth0"));
  const mode_t before = ::umask(0);
  cache.store(whole());
  (void)::umask(before);
  const std::string path = folder / "cni/results/net-one-eth0";
  CHECK(cache.path_of("net", "one", "eth0") == path);
  CHECK(mode_of(path) == 0600);
  CHECK(mode_of(folder / "cni") == 0700);
  CHECK(mode_of(folder / "cni/results") == 0700);
  CHECK(json::parse(test::file_text(path)) == json::parse(kWrittenByGo));
  const auto loaded = cache.load("net", "one", "eth0");
  REQUIRE(loaded);
  check_whole(*loaded);
  CHECK(loaded->file == path);
  CHECK(os::list_directory(folder / "cni/results").size() == 1);
  CHECK(cache.remove("net", "one", "eth0"));
  CHECK_FALSE(cache.remove("net", "one", "eth0"));
}

TEST_CASE("a file of the Go library is read and written back the same") {
  const TemporaryFolder folder;
  os::make_directories(folder / "results");
  write_file(folder / "results/net-one-eth0", kWrittenByGo);
  const Cache cache(folder.path());
  const auto loaded = cache.load("net", "one", "eth0");
  REQUIRE(loaded);
  check_whole(*loaded);
  cache.store(*loaded);
  CHECK(json::parse(test::file_text(folder / "results/net-one-eth0")) == json::parse(kWrittenByGo));
}

TEST_CASE("what is unknown is left out of the file") {
  const TemporaryFolder folder;
  const Cache cache(folder.path());
  cache.store({.network = "net",
               .container_id = "one",
               .ifname = "eth0",
               .netns = {},
               .network_text = "{}",
               .arguments = {},
               .capability_args = {},
               .result = {},
               .file = {}});
  CHECK(json::parse(test::file_text(folder / "results/net-one-eth0")) ==
        json{{"kind", "cniCacheV1"},
             {"containerId", "one"},
             {"config", "e30="},
             {"ifName", "eth0"},
             {"networkName", "net"}});
}

TEST_CASE("a file of another kind is a bare result of an older library") {
  const TemporaryFolder folder;
  os::make_directories(folder / "results");
  const Cache cache(folder.path());
  for (const char* text : {R"({"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.2/24"}})",
                           R"({"kind":"other","cniVersion":"0.4.0"})"}) {
    write_file(folder / "results/net-one-eth0", text);
    const auto loaded = cache.load("net", "one", "eth0");
    REQUIRE(loaded);
    CHECK(loaded->result == text);
    CHECK(loaded->network.empty());
  }
}

TEST_CASE("a file cut off anywhere is an error that names it and never a wrong answer") {
  const TemporaryFolder folder;
  os::make_directories(folder / "results");
  const Cache cache(folder.path());
  const std::string text = kWrittenByGo;
  for (std::size_t size = 0; size < text.size(); ++size) {
    write_file(folder / "results/net-one-eth0", text.substr(0, size));
    try {
      (void)cache.load("net", "one", "eth0");
      FAIL("read " << text.substr(0, size));
    } catch (const Error& error) {
      CHECK(error.code == Code::kDecodingFailure);
      CHECK(error.msg.find("results/net-one-eth0: ") != std::string::npos);
    }
    std::vector<std::string> unreadable;
    CHECK(cache.list(&unreadable).empty());
    CHECK(unreadable == std::vector<std::string>{folder / "results/net-one-eth0"});
  }
}

TEST_CASE("all attachments are listed in order and what is none is named") {
  const TemporaryFolder folder;
  const Cache cache(folder.path());
  CHECK(cache.list().empty());
  CachedAttachment attachment = whole();
  cache.store(attachment);
  attachment.ifname = "eth1";
  cache.store(attachment);
  attachment.container_id = "a";
  cache.store(attachment);
  write_file(folder / "results/junk", "{}");
  std::vector<std::string> unreadable;
  const std::vector<CachedAttachment> all = cache.list(&unreadable);
  REQUIRE(all.size() == 3);
  CHECK(all[0].container_id == "a");
  CHECK(all[1].ifname == "eth0");
  CHECK(all[2].ifname == "eth1");
  CHECK(unreadable == std::vector<std::string>{folder / "results/junk"});
}

TEST_CASE("an attachment without a part of its name has no file") {
  const Cache cache("/nowhere");
  const auto refused = [&](const char* network, const char* id, const char* ifname) {
    try {
      (void)cache.path_of(network, id, ifname);
    } catch (const Error& error) {
      return error.msg;
    }
    return std::string("accepted");
  };
  CHECK(refused("net", "", "eth0") ==
        "cache file path requires network name (net), container ID (), and interface name (eth0)");
  CHECK(refused("", "one", "eth0").rfind("cache file path requires", 0) == 0);
  CHECK(refused("net", "one", "").rfind("cache file path requires", 0) == 0);
  CHECK(refused("net", "../one", "eth0").rfind("the attachment \"net-../one-eth0\" cannot", 0) ==
        0);
}

TEST_CASE("a cache that cannot be written is an error and leaves the old file") {
  const TemporaryFolder folder;
  write_file(folder / "results", "a file in the way");
  const Cache cache(folder.path());
  CHECK_THROWS_AS(cache.store(whole()), Error);
  CHECK(test::file_text(folder / "results") == "a file in the way");
}

}  // namespace
}  // namespace cni::libcni
