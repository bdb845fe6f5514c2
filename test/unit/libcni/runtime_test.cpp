#include "libcni/runtime.hpp"

#include <unistd.h>

#include <thread>

#include "pkg/os/file.hpp"
#include "test/unit/libcni/fake_plugins.hpp"

namespace cni::libcni {
namespace {

using test::json;

TEST_CASE("add feeds each result to the next plugin and keeps the last one") {
  FakePlugins fake;
  fake.plant("first", R"({"cniVersion":"1.1.0","ips":[{"address":"10.0.0.2/24"}],"x":7})");
  fake.plant("second", R"({"cniVersion":"1.1.0","ips":[{"address":"10.0.0.3/24"}]})");
  const Network network = network_of({"first", "second"});
  const Runtime runtime = fake.runtime();
  const Attached added = runtime.add(network, container());
  CHECK(added.result.ips.at(0).address.to_string() == "10.0.0.3/24");
  CHECK(json::parse(added.json).at("ips")[0].at("address") == "10.0.0.3/24");

  const auto log = fake.take_log();
  REQUIRE(log.size() == 2);
  CHECK(log[0].call == "ADD first");
  CHECK(log[0].config == json{{"cniVersion", "1.1.0"}, {"name", "net"}, {"type", "first"}});
  CHECK(log[1].call == "ADD second");
  // Nothing of a result of the same version is lost.
  CHECK(log[1].config.at("prevResult") ==
        json::parse(R"({"cniVersion":"1.1.0","ips":[{"address":"10.0.0.2/24"}],"x":7})"));
  const auto cached = runtime.cache().load("net", "one", "eth0");
  REQUIRE(cached);
  CHECK(json::parse(cached->result).at("ips")[0].at("address") == "10.0.0.3/24");
  CHECK(cached->netns == "/run/netns/one");
  CHECK(parse_network_list(cached->network_text).plugins.size() == 2);
}

TEST_CASE("check and del get the cached result and del forgets it") {
  FakePlugins fake;
  for (const char* type : {"first", "second"}) fake.plant(type);
  const Network network = network_of({"first", "second"});
  const Runtime runtime = fake.runtime();
  (void)runtime.add(network, container());
  (void)fake.take_log();
  runtime.check(network, container());
  auto log = fake.take_log();
  REQUIRE(log.size() == 2);
  CHECK(log[0].call == "CHECK first");
  CHECK(log[1].call == "CHECK second");
  CHECK(log[1].config.at("prevResult") == json{{"cniVersion", "1.1.0"}});
  runtime.del(network, container());
  log = fake.take_log();
  REQUIRE(log.size() == 2);
  CHECK(log[0].call == "DEL second");
  CHECK(log[1].call == "DEL first");
  CHECK(log[1].config.at("prevResult") == json{{"cniVersion", "1.1.0"}});
  CHECK_FALSE(runtime.cache().load("net", "one", "eth0"));
  runtime.del(network, container());
  log = fake.take_log();
  REQUIRE(log.size() == 2);
  CHECK_FALSE(log[0].config.contains("prevResult"));
}

TEST_CASE("a result of another version is converted for the next plugin and for del") {
  FakePlugins fake;
  fake.plant("old", R"({"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.2/24"}})");
  fake.plant("none", R"({"ips":[{"address":"10.0.0.3/24"}]})");
  const Network network = network_of({"old", "none"}, "1.0.0");
  const Runtime runtime = fake.runtime();
  (void)runtime.add(network, container());
  const auto log = fake.take_log();
  REQUIRE(log.size() == 2);
  CHECK(log[1].config.at("prevResult").at("cniVersion") == "1.0.0");
  CHECK(log[1].config.at("prevResult").at("ips")[0].at("address") == "10.0.0.2/24");
  const auto cached = runtime.cache().load("net", "one", "eth0");
  REQUIRE(cached);
  CHECK(json::parse(cached->result).at("cniVersion") == "1.0.0");
}

TEST_CASE("del of a version before 0.4.0 gets no result and check refuses it") {
  FakePlugins fake;
  fake.plant("first", R"({"cniVersion":"0.3.1"})");
  const Network network = network_of({"first"}, "0.3.1");
  const Runtime runtime = fake.runtime();
  (void)runtime.add(network, container());
  CHECK(failure_of([&] {
          runtime.check(network, container());
        }).rfind("1 configuration version \"0.3.1\" does not support the CHECK command", 0) == 0);
  (void)fake.take_log();
  runtime.del(network, container());
  const auto log = fake.take_log();
  REQUIRE(log.size() == 1);
  CHECK_FALSE(log[0].config.contains("prevResult"));
}

TEST_CASE("a failed add deletes what it added and says so with the plugin's own code") {
  FakePlugins fake;
  fake.plant("first", R"({"cniVersion":"1.1.0","ips":[{"address":"10.0.0.2/24"}]})");
  fake.plant_script("second", R"([ $CNI_COMMAND = DEL ] && exit 0
echo '{"code":42,"msg":"no luck","details":"today"}'; exit 1)");
  fake.plant("third");
  const Network network = network_of({"first", "second", "third"});
  const Runtime runtime = fake.runtime();
  CHECK(
      failure_of([&] { (void)runtime.add(network, container()); }) ==
      "42 plugin type=\"second\" failed (add): no luck; today; plugin \"second\", network \"net\", "
      "container \"one\", interface \"eth0\"");
  const auto log = fake.take_log();
  REQUIRE(log.size() == 4);
  CHECK(log[2].call == "DEL second");
  CHECK(log[3].call == "DEL first");
  CHECK(log[3].config.at("prevResult").at("ips")[0].at("address") == "10.0.0.2/24");
  CHECK_FALSE(runtime.cache().load("net", "one", "eth0"));

  (void)failure_of([&] { (void)runtime.add(network, container(), {.undo_on_failure = false}); });
  CHECK(fake.take_calls() == "ADD first, ADD second");
}

TEST_CASE("what cannot be undone is told with the error of add") {
  FakePlugins fake;
  fake.plant_script("first", R"([ $CNI_COMMAND = DEL ] || { echo '{}'; exit 0; }
echo '{"code":7,"msg":"stays"}'; exit 1)");
  fake.plant_script("second", "exit 3");
  const std::string said = failure_of([&] {
    (void)fake.runtime().add(network_of({"first", "second"}), container());
  });
  INFO(said);
  CHECK(said.rfind("103 plugin type=\"second\" failed (add): netplugin failed with no error "
                   "message: exit status 3",
                   0) == 0);
  CHECK(said.find("undo failed: plugin type=\"second\" failed (delete): ") != std::string::npos);
  CHECK(said.find("plugin type=\"first\" failed (delete): stays") != std::string::npos);
}

TEST_CASE("a plugin that is missing fails add before it is called and the others are deleted") {
  FakePlugins fake;
  fake.plant("first");
  const std::string said = failure_of([&] {
    (void)fake.runtime().add(network_of({"first", "gone"}), container());
  });
  INFO(said);
  CHECK(said.rfind(
            "103 plugin type=\"gone\" failed (add): failed to find plugin \"gone\" in path [", 0) ==
        0);
  CHECK(said.find("undo failed") == std::string::npos);
  CHECK(fake.take_calls() == "ADD first, DEL first");
}

TEST_CASE("a result that cannot be kept fails add") {
  FakePlugins fake;
  fake.plant("first");
  test::write_file(fake.cache(), "in the way");
  const std::string said =
      failure_of([&] { (void)fake.runtime().add(network_of({"first"}), container()); });
  INFO(said);
  CHECK(said.find("failed to set network \"net\" cached result: ") != std::string::npos);
  CHECK(fake.take_calls() == "ADD first, DEL first");
}

TEST_CASE("del stops at the first failure or goes on and tells all") {
  FakePlugins fake;
  for (const char* type : {"first", "third"}) fake.plant_script(type, "exit 1");
  fake.plant("second");
  const Network network = network_of({"first", "second", "third"});
  const Runtime runtime = fake.runtime();
  CHECK(failure_of([&] { runtime.del(network, container()); })
            .rfind("103 plugin type=\"third\" failed (delete): netplugin failed with no error "
                   "message: exit status 1",
                   0) == 0);
  CHECK(fake.take_calls() == "DEL third");
  const std::string all =
      failure_of([&] { runtime.del(network, container(), {.keep_going = true}); });
  CHECK(fake.take_calls() == "DEL third, DEL second, DEL first");
  CHECK(all.find("plugin type=\"third\" failed (delete)") != std::string::npos);
  CHECK(all.find("plugin type=\"first\" failed (delete)") != std::string::npos);
}

TEST_CASE("a failed del keeps the cache so that it can be called again") {
  FakePlugins fake;
  fake.plant_script("first", R"([ $CNI_COMMAND = ADD ] && echo '{}'; [ $CNI_COMMAND != DEL ])");
  const Network network = network_of({"first"});
  const Runtime runtime = fake.runtime();
  (void)runtime.add(network, container());
  CHECK(failure_of([&] { runtime.del(network, container()); }) != "no error");
  CHECK(runtime.cache().load("net", "one", "eth0"));
}

TEST_CASE("del works with a cache cut off anywhere") {
  FakePlugins fake;
  fake.plant("first");
  const Network network = network_of({"first"});
  const Runtime runtime = fake.runtime();
  (void)runtime.add(network, container());
  const std::string path = runtime.cache().path_of("net", "one", "eth0");
  const std::string text = test::file_text(path);
  for (std::size_t size = 0; size < text.size(); size += 7) {
    test::write_file(path, text.substr(0, size));
    CHECK(failure_of([&] { runtime.del(network, container()); }) == "no error");
    CHECK(::access(path.c_str(), F_OK) != 0);
  }
  for (const char* none : {"[]", "7", "null", R"({"kind":"cniCacheV1","result":[]})"}) {
    test::write_file(path, none);
    CHECK(failure_of([&] { runtime.del(network, container()); }) == "no error");
  }
  test::write_file(path, R"({"cniVersion":"9.0.0"})");
  CHECK(failure_of([&] {
          runtime.check(network, container());
        }).find("failed to convert cached result to config version \"1.1.0\"") !=
        std::string::npos);
  CHECK(failure_of([&] { runtime.del(network, container()); }) == "no error");
}

TEST_CASE("plugins get the capabilities that they declare") {
  FakePlugins fake;
  fake.plant("with");
  fake.plant("without");
  const json plugins = json::parse(R"([
    {"type":"with","capabilities":{"mac":true,"ips":true,"off":false},"runtimeConfig":{"old":1}},
    {"type":"without","runtimeConfig":{"old":1}}])");
  const Network network = network_of({}, "1.1.0", {{"plugins", plugins}});
  ContainerInterface where = container();
  where.capability_args = R"({"mac":"02:00:00:00:00:01","off":1,"other":2})";
  const Runtime runtime = fake.runtime();
  (void)runtime.add(network, where);
  const auto log = fake.take_log();
  REQUIRE(log.size() == 2);
  CHECK(log[0].config.at("runtimeConfig") == json{{"mac", "02:00:00:00:00:01"}});
  CHECK(log[1].config.at("runtimeConfig") == json{{"old", 1}});
  CHECK(log[0].config.contains("capabilities"));
}

TEST_CASE("plugins get the environment of the call and the caller's trace") {
  FakePlugins fake;
  fake.plant_script("first", R"(env >"$LOG.env"; echo '{}')");
  ContainerInterface where = container();
  where.arguments = {{"IgnoreUnknown", "1"}, {"K8S_POD_NAME", "pod"}};
  const Runtime runtime = fake.runtime();
  const auto environment = [&](const CallOptions& options) {
    (void)runtime.add(network_of({"first"}), where, options);
    return "\n" + test::file_text(fake.path("log.env"));
  };
  const std::string plain = environment({});
  INFO(plain);
  for (const std::string& line :
       {std::string("CNI_COMMAND=ADD"), std::string("CNI_CONTAINERID=one"),
        std::string("CNI_NETNS=/run/netns/one"), std::string("CNI_IFNAME=eth0"),
        std::string("CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAME=pod"), cat("CNI_PATH=", fake.plugins()),
        std::string("TRACEPARENT=inherited")}) {
    CHECK(plain.find(cat("\n", line, "\n")) != std::string::npos);
  }
  const std::string parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const std::string traced =
      environment({.trace = {.parent = parent, .state = "a=b", .baggage = "c=d"}});
  INFO(traced);
  CHECK(traced.find(cat("\nTRACEPARENT=", parent, "\n")) != std::string::npos);
  CHECK(traced.find("TRACEPARENT=inherited") == std::string::npos);
  CHECK(traced.find("\nTRACESTATE=a=b\n") != std::string::npos);
  CHECK(traced.find("\nBAGGAGE=c=d\n") != std::string::npos);
  CHECK(environment({.trace = {.parent = "nonsense", .state = "a=b", .baggage = {}}}) == plain);
}

TEST_CASE("plugins that misbehave are told apart") {
  FakePlugins fake;
  const Network network = network_of({"bad"});
  const Runtime runtime = fake.runtime();
  const auto said = [&](const std::string& script, const CallOptions& options = {}) {
    fake.plant_script("bad", script);
    std::string out = failure_of([&] { (void)runtime.add(network, container(), options); });
    return out.substr(0, out.find("; undo failed"));
  };
  const std::string where =
      "; plugin \"bad\", network \"net\", container \"one\", interface \"eth0\"";
  const std::string start = "103 plugin type=\"bad\" failed (add): netplugin failed";
  CHECK(said("kill -SEGV $$") ==
        cat(start, " with no error message: signal: segmentation fault; plugin bad", where));
  CHECK(said("echo oops >&2; exit 9") ==
        cat(start, ": \"oops\\n\": exit status 9; plugin bad", where));
  CHECK(said("echo garbage; exit 1")
            .rfind(cat(start, " but error parsing its diagnostic message \"garbage\\n\""), 0) == 0);
  CHECK(said("echo garbage")
            .rfind("6 plugin type=\"bad\" failed (add): failed to unmarshal raw "
                   "result: ",
                   0) == 0);
  CHECK(said("exit 0").rfind("6 plugin type=\"bad\" failed (add): failed to unmarshal raw result",
                             0) == 0);
  for (const char* none : {"[]", "7", "true"}) {
    CHECK(said(cat("echo '", none, "'"))
              .rfind("6 plugin type=\"bad\" failed (add): failed to unmarshal raw result: expected "
                     "an object",
                     0) == 0);
    CHECK(fake.take_calls().ends_with("ADD bad, DEL bad"));
  }
  const std::string late =
      said("[ $CNI_COMMAND = DEL ] || sleep 5", {.timeout = std::chrono::milliseconds(100)});
  INFO(late);
  CHECK(late.rfind(cat(start, " with no error message: signal: killed"), 0) == 0);
  CHECK(late.find("it had not ended after 100 ms") != std::string::npos);
}

TEST_CASE("a cancelled add is killed and undone and calls nothing more") {
  FakePlugins fake;
  fake.plant("first");
  fake.plant_script("second", "[ $CNI_COMMAND = DEL ] || { touch \"$LOG.started\"; sleep 5; }");
  fake.plant("third");
  const Cancellation cancellation;
  std::thread canceller([&] {
    while (::access(fake.path("log.started").c_str(), F_OK) != 0) ::usleep(1000);
    cancellation.cancel();
  });
  const std::string said = failure_of([&] {
    (void)fake.runtime().add(network_of({"first", "second", "third"}), container(),
                             {.cancellation = &cancellation});
  });
  canceller.join();
  INFO(said);
  CHECK(said.find("the call was cancelled, and it was killed") != std::string::npos);
  CHECK(fake.take_calls() == "ADD first, ADD second, DEL second, DEL first");
  CHECK(failure_of([&] {
          fake.runtime().del(network_of({"first"}), container(), {.cancellation = &cancellation});
        }).find("the call was cancelled before plugin first was run") != std::string::npos);
}

TEST_CASE("each run is reported with its plugin and outcome") {
  FakePlugins fake;
  fake.plant("first");
  fake.plant_script("second", "[ $CNI_COMMAND = DEL ]");
  std::string reports;
  const CallOptions options{.on_run = [&](const PluginRun& run) {
    reports += cat(skel::to_string(run.command), " ", run.type, run.error ? " failed, " : ", ");
    CHECK(run.duration.count() > 0);
  }};
  (void)failure_of([&] {
    (void)fake.runtime().add(network_of({"first", "second"}), container(), options);
  });
  CHECK(reports == "ADD first, ADD second failed, DEL second, DEL first, ");
}

TEST_CASE("names are checked before any plugin is called") {
  FakePlugins fake;
  fake.plant("first");
  const Runtime runtime = fake.runtime();
  ContainerInterface where = container("");
  CHECK(failure_of([&] { (void)runtime.add(network_of({"first"}), where); }) ==
        "3 missing containerID");
  where = container("../one");
  CHECK(failure_of([&] {
          runtime.del(network_of({"first"}), where);
        }).rfind("4 invalid characters in containerID", 0) == 0);
  where = container();
  where.ifname = "a name that is too long";
  CHECK(failure_of([&] {
          runtime.check(network_of({"first"}), where);
        }).rfind("4 interface name is too long", 0) == 0);
  CHECK(failure_of([&] {
          (void)runtime.add(network_of({"first"}, "1.1.0", {{"name", "a/b"}}), container());
        }).rfind("7 invalid characters found in network name", 0) == 0);
  CHECK(fake.take_calls().empty());
}

}  // namespace
}  // namespace cni::libcni
