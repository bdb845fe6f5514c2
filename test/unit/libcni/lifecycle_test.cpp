// GC, STATUS, VERSION and validation, and many attachments at once.
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "libcni/runtime.hpp"
#include "test/unit/libcni/fake_plugins.hpp"

namespace cni::libcni {
namespace {

using test::json;

TEST_CASE("gc deletes attachments that are not valid and then calls GC of every plugin") {
  FakePlugins fake;
  for (const char* type : {"first", "second"}) fake.plant(type);
  const Network network = network_of({"first", "second"});
  const Runtime runtime = fake.runtime();
  for (const char* id : {"keep", "stale"}) (void)runtime.add(network, container(id));
  (void)runtime.add(network_of({"first"}, "1.1.0", {{"name", "other"}}), container("stale"));
  (void)fake.take_log();
  runtime.gc(network, {{"keep", "eth0"}});
  const auto log = fake.take_log();
  REQUIRE(log.size() == 4);
  CHECK(log[0].call == "DEL second");
  CHECK(log[1].call == "DEL first");
  CHECK(log[2].call == "GC first");
  CHECK(log[3].call == "GC second");
  const json valid = json::parse(R"([{"containerID":"keep","ifname":"eth0"}])");
  CHECK(log[2].config.at("cni.dev/valid-attachments") == valid);
  CHECK(log[2].config.at("cni.dev/attachments") == valid);
  CHECK(runtime.cache().load("net", "keep", "eth0"));
  CHECK_FALSE(runtime.cache().load("net", "stale", "eth0"));
  CHECK(runtime.cache().load("other", "stale", "eth0"));
}

TEST_CASE("gc deletes with the namespace and arguments of add") {
  FakePlugins fake;
  fake.plant_script(
      "first", R"([ $CNI_COMMAND = DEL ] && echo "$CNI_NETNS $CNI_ARGS" >"$LOG.del"; echo '{}')");
  const json plugins = json::parse(R"([{"type":"first","capabilities":{"mac":true}}])");
  const Network network = network_of({}, "1.1.0", {{"plugins", plugins}});
  ContainerInterface where = container();
  where.arguments = {{"A", "b"}};
  where.capability_args = R"({"mac":"02:00:00:00:00:01"})";
  const Runtime runtime = fake.runtime();
  (void)runtime.add(network, where);
  (void)fake.take_log();
  runtime.gc(network, {});
  CHECK(test::file_text(fake.path("log.del")) == "/run/netns/one A=b\n");
  CHECK(fake.take_log().at(0).config.at("runtimeConfig").at("mac") == "02:00:00:00:00:01");
}

TEST_CASE("gc goes on after failures and tells them all") {
  FakePlugins fake;
  fake.plant_script("first", R"(case $CNI_COMMAND in ADD) echo '{}' ;; *) exit 1 ;; esac)");
  const Network network = network_of({"first"});
  const Runtime runtime = fake.runtime();
  for (const char* id : {"a", "b"}) (void)runtime.add(network, container(id));
  (void)fake.take_log();
  const std::string said = failure_of([&] { runtime.gc(network, {}); });
  INFO(said);
  CHECK(fake.take_calls() == "DEL first, DEL first, GC first");
  CHECK(said.find("container \"a\"") != std::string::npos);
  CHECK(said.find("container \"b\"") != std::string::npos);
  CHECK(said.find("failed (gc)") != std::string::npos);
}

TEST_CASE("gc before 1.1.0 only deletes and a network can switch it off") {
  FakePlugins fake;
  fake.plant("first", R"({"cniVersion":"1.0.0"})");
  const Runtime runtime = fake.runtime();
  const Network off = network_of({"first"}, "1.0.0", {{"disableGC", true}});
  (void)runtime.add(off, container());
  (void)fake.take_log();
  runtime.gc(off, {});
  CHECK(fake.take_calls().empty());
  runtime.gc(network_of({"first"}, "1.0.0"), {});
  CHECK(fake.take_calls() == "DEL first");
}

TEST_CASE("check does nothing where the network switches it off") {
  FakePlugins fake;
  fake.plant("first");
  fake.runtime().check(network_of({"first"}, "1.1.0", {{"disableCheck", true}}), container());
  CHECK(fake.take_calls().empty());
}

TEST_CASE("status stops at the first failure and keeps its code") {
  FakePlugins fake;
  fake.plant("first");
  fake.plant_script("second", R"(echo '{"code":50,"msg":"range is full"}'; exit 1)");
  fake.plant("third");
  const Runtime runtime = fake.runtime();
  CHECK(failure_of([&] {
          runtime.status(network_of({"first", "second", "third"}));
        }) == "50 range is full; plugin \"second\", network \"net\"");
  const auto log = fake.take_log();
  REQUIRE(log.size() == 2);
  CHECK(log[0].call == "STATUS first");
  runtime.status(network_of({"first", "second"}, "1.0.0"));
  CHECK(fake.take_calls().empty());
}

TEST_CASE("the versions of a plugin are read from what it says to VERSION") {
  FakePlugins fake;
  const Runtime runtime = fake.runtime();
  const auto versions = [&](const std::string& script) {
    fake.plant_script("first", script);
    std::string out;
    for (const std::string& each : runtime.version("first").supported) out += each + " ";
    return out;
  };
  CHECK(versions(R"(echo '{"cniVersion":"1.1.0","supportedVersions":["0.4.0","1.1.0"]}')") ==
        "0.4.0 1.1.0 ");
  CHECK(versions(R"(echo '{"cniVersion":"0.2.0"}')") == "0.1.0 0.2.0 ");
  CHECK(versions(R"(echo '{"code":4,"msg":"unknown CNI_COMMAND: VERSION"}'; exit 1)") == "0.1.0 ");
  CHECK(failure_of([&] { (void)versions(R"(echo '{"cniVersion":"1.0.0"}')"); }) ==
        "6 plugin first: decoding version info: missing field supportedVersions");
  CHECK(failure_of([&] { (void)versions("echo '{}'"); }) ==
        "6 plugin first: decoding version info: missing field cniVersion");
  CHECK(failure_of([&] {
          (void)versions("exit 1");
        }).rfind("103 plugin first: netplugin failed with no error message", 0) == 0);
}

TEST_CASE("validation tells every objection at once") {
  FakePlugins fake;
  fake.plant_script("new", R"(echo '{"cniVersion":"1.1.0","supportedVersions":["1.1.0"]}')");
  fake.plant_script("old", R"(echo '{"cniVersion":"1.1.0","supportedVersions":["0.4.0"]}')");
  const Runtime runtime = fake.runtime();
  const json plugins = json::parse(R"([{"type":"new","capabilities":{"mac":true,"no":false}},
                      {"type":"new","capabilities":{"ips":true}}])");
  CHECK(runtime.validate(network_of({}, "1.1.0", {{"plugins", plugins}})) ==
        std::vector<std::string>{"ips", "mac"});
  CHECK(fake.take_calls() == "VERSION new");
  const std::string said = failure_of([&] {
    (void)runtime.validate(network_of({"new", "old", "gone", "old"}));
  });
  INFO(said);
  CHECK(said.rfind("1 [plugin old does not support config version \"1.1.0\" ", 0) == 0);
  CHECK(said.find("failed to find plugin \"gone\"") != std::string::npos);
}

TEST_CASE("one runtime serves two thousand adds and dels over eight threads") {
  FakePlugins fake;
  // Without a shell for each call: only its start and end count here.
  const std::string path = fake.plugins() + "/quick";
  test::write_file(path, "#!/bin/sh\n[ $CNI_COMMAND = DEL ] || echo '{}'\n");
  REQUIRE(::chmod(path.c_str(), 0755) == 0);
  const Network network = network_of({"quick"});
  const Runtime runtime = fake.runtime();
  std::mutex mutex;
  std::string failures;
  std::atomic<int> next = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int index = next++; index < 2000; index = next++) {
        const std::string said = failure_of([&] {
          const ContainerInterface where = container(cat("c", index));
          (void)runtime.add(network, where);
          if (!runtime.cache().load("net", where.container_id, "eth0")) {
            throw Error(Code::kInternal, "it is not in the cache");
          }
          runtime.del(network, where);
        });
        if (said == "no error") continue;
        const std::lock_guard lock(mutex);
        failures += said + "\n";
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == "");
  CHECK(runtime.cache().list().empty());
}

}  // namespace
}  // namespace cni::libcni
