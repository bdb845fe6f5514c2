#include <sys/stat.h>

#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "test/unit/plugins/ipam/host_local_runtime.hpp"

namespace cni::host_local {
namespace {

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

TEST_CASE("host-local ADD prints address gateway routes and DNS and keeps the reference's files") {
  Runtime runtime(R"("subnet":"10.1.0.0/24","routes":[{"dst":"0.0.0.0/0","mtu":1400}])");
  test::write_file(runtime.data_dir() + "/resolv.conf", "nameserver 192.0.2.1\nsearch a.example\n");
  runtime.ipam()["resolvConf"] = runtime.data_dir() + "/resolv.conf";
  const PluginRun result = runtime.run("ADD", "one");
  CHECK(result.document == json::parse(R"({"cniVersion":"1.1.0",
          "dns":{"nameservers":["192.0.2.1"],"search":["a.example"]},
          "ips":[{"address":"10.1.0.2/24","gateway":"10.1.0.1"}],
          "routes":[{"dst":"0.0.0.0/0","mtu":1400}]})"));
  CHECK(runtime.content("10.1.0.2") == "one\r\neth0");
  CHECK(runtime.content("last_reserved_ip.0") == "10.1.0.2");
  CHECK(runtime.content("lock") == "");
}

TEST_CASE("host-local creates folders and files for nobody else whatever the umask") {
  const mode_t before = ::umask(0);
  Runtime runtime(R"("subnet":"10.1.0.0/24")");
  runtime.ipam()["dataDir"] = runtime.data_dir() + "/a/b";
  runtime.add("one");
  (void)::umask(before);
  for (const char* folder : {"/a", "/a/b", "/a/b/net"}) {
    CHECK(mode_of(runtime.data_dir() + folder) == 0700);
  }
  for (const char* file :
       {"net/10.1.0.2", "net/lock", "net/last_reserved_ip.0", ".cni-index-net"}) {
    CHECK(mode_of(runtime.data_dir() + "/a/b/" + file) == 0600);
  }
}

TEST_CASE("host-local gives one address of each range set in every version that can say it") {
  Runtime runtime(R"("ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"fd00::/64"}]])");
  for (const char* version : {"0.1.0", "0.2.0"}) {
    const PluginRun result = runtime.run_with(runtime.document(version), "ADD", version);
    INFO(result.describe());
    REQUIRE(result.ok());
    CHECK(result.document["ip4"].contains("ip"));
    CHECK(result.document["ip6"].contains("ip"));
  }
  for (const char* version : {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}) {
    const PluginRun result = runtime.run_with(runtime.document(version), "ADD", version);
    INFO(result.describe());
    REQUIRE(result.ok());
    CHECK(result.document["ips"].size() == 2);
    CHECK(result.document["cniVersion"] == version);
  }
  CHECK(runtime.held() == 14);
  for (const char* version : {"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}) {
    CHECK(runtime.run_with(runtime.document(version), "DEL", version).ok());
  }
  CHECK(runtime.held() == 0);
}

TEST_CASE("host-local goes on behind the last address and comes round") {
  Runtime runtime(R"("subnet":"10.1.0.0/29")");
  CHECK(runtime.add("a") == "10.1.0.2/29");
  CHECK(runtime.add("b") == "10.1.0.3/29");
  CHECK(runtime.run("DEL", "a").ok());
  CHECK(runtime.add("c") == "10.1.0.4/29");
  CHECK(runtime.add("d") == "10.1.0.5/29");
  CHECK(runtime.add("e") == "10.1.0.6/29");
  CHECK(runtime.add("f") == "10.1.0.2/29");
  const PluginRun full = runtime.run("ADD", "g");
  CHECK(full.code() == static_cast<int>(Code::kAddressUnavailable));
  CHECK(full.msg().find("failed to allocate for range 0: no IP addresses available in range set: "
                        "10.1.0.1-10.1.0.6; 0 of 5 addresses left in 10.1.0.0/29: ") == 0);
}

TEST_CASE("host-local starts anew when what it noted last makes no sense") {
  Runtime runtime(R"("subnet":"10.1.0.0/24")");
  for (const char* text : {"", "nonsense", "10.9.0.5", "10.1.0.500"}) {
    runtime.write("last_reserved_ip.0", text);
    CHECK(runtime.add("a") == "10.1.0.2/24");
    CHECK(runtime.run("DEL", "a").ok());
  }
  runtime.write("last_reserved_ip.0", "10.1.0.99\n");
  CHECK(runtime.add("a") == "10.1.0.100/24");
  CHECK(runtime.content("last_reserved_ip.0") == "10.1.0.100");
}

TEST_CASE("host-local refuses a second ADD of an attachment and leaves it its address") {
  Runtime runtime(R"("ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"fd00::/64"}]])");
  runtime.add("a");
  const PluginRun again = runtime.run("ADD", "a");
  CHECK(again.msg() ==
        "failed to allocate for range 0: 10.1.0.2 has been allocated to a, duplicate allocation is "
        "not allowed");
  CHECK(runtime.held() == 2);
  CHECK(runtime.run("CHECK", "a").ok());
}

TEST_CASE("host-local gives the requested address and says who has it otherwise") {
  Runtime runtime(R"("subnet":"10.1.0.0/24","exclude":["10.1.0.128/25"])");
  CHECK(runtime.add("a", "IP=10.1.0.77") == "10.1.0.77/24");
  CHECK(runtime.add("b", "IP=10.1.0.78/16;IgnoreUnknown=true;X=y") == "10.1.0.78/24");
  const int unavailable = static_cast<int>(Code::kAddressUnavailable);
  const PluginRun taken = runtime.run("ADD", "c", "IP=10.1.0.77");
  CHECK(taken.code() == unavailable);
  CHECK(taken.msg().find("failed to allocate for range 0: requested IP address 10.1.0.77 is not "
                         "available in range set 10.1.0.1-10.1.0.254: held by container a "
                         "interface eth0 since 20") == 0);
  const PluginRun gateway = runtime.run("ADD", "c", "IP=10.1.0.1");
  CHECK(gateway.code() == unavailable);
  CHECK(gateway.msg() ==
        "failed to allocate for range 0: requested ip 10.1.0.1 is subnet's gateway");
  const PluginRun excluded = runtime.run("ADD", "c", "IP=10.1.0.200");
  CHECK(excluded.msg().find("requested IP address 10.1.0.200 is not available in range set "
                            "10.1.0.1-10.1.0.254: excluded by ipam.exclude[0] (10.1.0.128/25)") !=
        std::string::npos);
  const PluginRun outside = runtime.run("ADD", "c", "IP=10.9.0.1");
  CHECK(outside.msg() == "failed to allocate all requested IPs: 10.9.0.1 (CNI_ARGS)");
  CHECK(runtime.held() == 2);
}

TEST_CASE("host-local never gives an excluded address") {
  Runtime runtime(R"("subnet":"10.1.0.0/29","exclude":["10.1.0.2","10.1.0.4/31"])");
  CHECK(runtime.add("a") == "10.1.0.3/29");
  CHECK(runtime.add("b") == "10.1.0.6/29");
  const PluginRun full = runtime.run("ADD", "c");
  CHECK(full.msg().find("0 of 2 addresses left in 10.1.0.0/29") != std::string::npos);
  runtime.ipam()["exclude"] = json::array({"10.1.0.0/24"});
  CHECK(
      runtime.run("ADD", "c")
          .msg()
          .find(
              "every address of 10.1.0.0/29 between 10.1.0.1-10.1.0.6 is a gateway or excluded") !=
      std::string::npos);
}

TEST_CASE("host-local takes over what a crash left empty") {
  Runtime runtime(R"("subnet":"10.1.0.0/29")");
  runtime.write("10.1.0.2", "");
  runtime.write("10.1.0.3", std::string(9, '\0'));
  CHECK(runtime.add("a") == "10.1.0.2/29");
  CHECK(runtime.content("10.1.0.2") == "a\r\neth0");
  CHECK(runtime.add("b", "IP=10.1.0.3") == "10.1.0.3/29");
  CHECK(runtime.content("10.1.0.3") == "b\r\neth0");
}

TEST_CASE("host-local DEL releases this interface only and succeeds again") {
  Runtime runtime(R"("subnet":"10.1.0.0/24")");
  runtime.add("a");
  runtime.write("10.1.0.50", "a\r\neth1");
  runtime.write("10.1.0.51", "aa\r\neth0");
  runtime.write("10.1.0.52", "a");
  CHECK(runtime.run("DEL", "a").ok());
  CHECK_FALSE(runtime.content("10.1.0.2"));
  CHECK(runtime.held() == 3);
  // Nothing of the newer form is left, so the record without interface counts.
  CHECK(runtime.run("DEL", "a").ok());
  CHECK_FALSE(runtime.content("10.1.0.52"));
  CHECK(runtime.held() == 2);
  CHECK(runtime.run("DEL", "a").ok());
  CHECK(runtime.run("DEL", "never-added").ok());
  CHECK(runtime.held() == 2);
}

TEST_CASE("host-local DEL releases with a configuration that ADD refuses") {
  Runtime runtime(R"("subnet":"10.1.0.0/24")");
  const auto releases = [&](const json& config, const std::string& args = {}) {
    runtime.add("a");
    const PluginRun result = runtime.run_with(config, "DEL", "a", args);
    INFO(config.dump());
    INFO(result.describe());
    CHECK(result.ok());
    CHECK(runtime.held() == 0);
  };
  const json good = runtime.document();
  json config = good;
  config["ipam"].erase("subnet");
  releases(config);
  for (const char* key :
       {"subnet", "ranges", "routes", "resolvConf", "exclude", "gateway", "type"}) {
    for (const json& value : {json(5), json("nonsense"), json::array({1}), json::object()}) {
      config = good;
      config["ipam"][key] = value;
      releases(config);
    }
  }
  for (const char* key : {"args", "runtimeConfig", "dns", "prevResult", "capabilities", "type"}) {
    config = good;
    config[key] = 5;
    releases(config);
  }
  releases(good, "nonsense");
}

TEST_CASE("host-local DEL of a network without folder makes none") {
  Runtime runtime(R"("subnet":"10.1.0.0/24")");
  CHECK(runtime.run("DEL", "a").ok());
  CHECK(runtime.run("GC", "a").ok());
  CHECK(runtime.run("STATUS", "a").ok());
  CHECK(os::list_directory(runtime.data_dir()).empty());
}

TEST_CASE("host-local CHECK demands the reservation and that of each address of prevResult") {
  Runtime runtime(R"("subnet":"10.1.0.0/24")");
  const PluginRun missing = runtime.run("CHECK", "a");
  CHECK(missing.code() == static_cast<int>(Code::kCheckFailed));
  CHECK(missing.msg() == "host-local: Failed to find address added by container a");
  runtime.add("a");
  CHECK(runtime.run("CHECK", "a").ok());
  json config = runtime.document();
  const auto with_ip = [&](const char* address) {
    config["prevResult"] = {{"cniVersion", "1.1.0"},
                            {"ips", json::array({{{"address", address}}})}};
    return runtime.run_with(config, "CHECK", "a");
  };
  CHECK(with_ip("10.1.0.2/24").ok());
  CHECK(with_ip("192.0.2.7/24").ok());
  CHECK(with_ip("10.1.0.3/24").msg().find("10.1.0.3 of prevResult is not reserved") !=
        std::string::npos);
  CHECK(os::remove_file(runtime.path("10.1.0.2")));
  CHECK_FALSE(runtime.run("CHECK", "a").ok());
  runtime.write("10.1.0.9", "a");
  CHECK(runtime.run("CHECK", "a").ok());
}

TEST_CASE("host-local GC releases what no valid attachment has") {
  Runtime runtime(R"("subnet":"10.1.0.0/24")");
  for (const char* id : {"a", "b", "c"}) runtime.add(id);
  runtime.write("10.1.0.20", "legacy-valid");
  runtime.write("10.1.0.21", "legacy-stale");
  runtime.write("10.1.0.22", "a\r\neth1");
  runtime.write("10.1.0.23", "");
  runtime.write("10.1.0.24", "reserved by hand");
  json config = runtime.document();
  config["cni.dev/valid-attachments"] =
      json::parse(R"([{"containerID":"a","ifname":"eth0"},{"containerID":"c","ifname":"eth0"},
                      {"containerID":"legacy-valid","ifname":"eth7"}])");
  const PluginRun result = runtime.run_with(config, "GC", "");
  INFO(result.describe());
  CHECK(result.ok());
  CHECK(result.out.empty());
  for (const char* kept :
       {"10.1.0.2", "10.1.0.4", "10.1.0.20", "10.1.0.24", "lock", "last_reserved_ip.0"}) {
    INFO(kept);
    CHECK(runtime.content(kept));
  }
  CHECK(runtime.held() == 4);
  CHECK(runtime.run("CHECK", "a").ok());
  CHECK_FALSE(runtime.run("CHECK", "b").ok());
  config["cni.dev/valid-attachments"] = nullptr;
  CHECK(runtime.run_with(config, "GC", "").ok());
  CHECK(runtime.held() == 1);
  CHECK(runtime.content("lock"));
  CHECK(runtime.add("d") == "10.1.0.5/24");
}

TEST_CASE("host-local STATUS tells when ADD cannot work") {
  Runtime runtime(R"("subnet":"10.1.0.0/30")");
  const PluginRun fine = runtime.run("STATUS", "");
  CHECK(fine.ok());
  CHECK(fine.out.empty());
  runtime.add("a");
  const PluginRun full = runtime.run("STATUS", "");
  CHECK(full.code() == static_cast<int>(Code::kPluginNotAvailable));
  CHECK(full.msg().find("host-local: 0 of 1 address left in 10.1.0.0/30: ") == 0);
  CHECK(runtime.run("DEL", "a").ok());
  CHECK(runtime.run("STATUS", "").ok());
  runtime.ipam()["resolvConf"] = runtime.data_dir() + "/none";
  CHECK(runtime.run("STATUS", "").msg().find("host-local: ipam.resolvConf: open ") == 0);
  CHECK(runtime.run("ADD", "a").msg().find("ipam.resolvConf: open ") == 0);
  CHECK(runtime.held() == 0);
  runtime.ipam()["subnet"] = "10.1.0.1/30";
  CHECK(runtime.run("STATUS", "").code() == static_cast<int>(Code::kInvalidNetworkConfig));
}

TEST_CASE("host-local STATUS fails where the folder is a file") {
  Runtime runtime(R"("subnet":"10.1.0.0/30")");
  test::write_file(runtime.data_dir() + "/net", "");
  const PluginRun result = runtime.run("STATUS", "");
  CHECK(result.code() == static_cast<int>(Code::kPluginNotAvailable));
  CHECK(result.msg().find("host-local: addresses cannot be reserved: ") == 0);
  CHECK_FALSE(runtime.run("ADD", "a").ok());
  CHECK(runtime.run("DEL", "a").ok());
}

}  // namespace
}  // namespace cni::host_local
