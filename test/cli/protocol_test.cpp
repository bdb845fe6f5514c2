// The execution protocol, over every executable: environment, stdin, versions, and what is said
// about mistakes.
#include <string>
#include <vector>

#include "test/support/netns_fixture.hpp"
#include "test/support/run_plugin.hpp"

namespace cni::test {
namespace {

constexpr const char* kVersions[] = {"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};

std::string config(const std::string& plugin, const json& more = json::object()) {
  json out = {{"cniVersion", "1.1.0"}, {"name", "net"}, {"type", plugin}};
  out.update(more);
  return out.dump();
}

// A call that would get as far as the plugin.
Call good_call(const std::string& plugin, const std::string& command) {
  Call call;
  call.command = command;
  call.netns = "/run/netns/none";
  call.input = config(plugin);
  return call;
}

// Runs check for each executable, with its name in every message.
template <class Fn>
void for_each_plugin(Fn&& check) {
  const Namespaces namespaces;
  const std::vector<std::string> plugins = plugin_executables();
  REQUIRE(plugins.size() >= 6);
  for (const std::string& plugin : plugins) {
    INFO("plugin " << plugin);
    check(plugin);
  }
}

TEST_CASE("without CNI_COMMAND the plugin says what it is on stderr and succeeds", "[cli]") {
  for_each_plugin([](const std::string& plugin) {
    Call call;
    call.input = "not even JSON";
    const PluginRun run = cni::test::call(plugin, call);
    CHECK(run.status == 0);
    CHECK(run.out.empty());
    CHECK(run.err.rfind("CNI " + plugin + " plugin ", 0) == 0);
    CHECK(run.err.find("\nCNI protocol versions supported: 0.") != std::string::npos);
    CHECK(run.err.find(", 1.1.0\n") == run.err.size() - 8);
  });
}

TEST_CASE("VERSION needs nothing but CNI_COMMAND and lists the versions on one line", "[cli]") {
  for_each_plugin([](const std::string& plugin) {
    Call call;
    call.command = "VERSION";
    call.container_id.clear();
    call.ifname.clear();
    call.path.clear();
    call.stdin_stream = Call::Stream::kClosed;
    const PluginRun run = cni::test::call(plugin, call);
    INFO(run.describe());
    CHECK(run.status == 0);
    REQUIRE(run.document.is_object());
    CHECK(run.document.at("cniVersion") == "1.1.0");
    const json& supported = run.document.at("supportedVersions");
    CHECK(supported.back() == "1.1.0");
    CHECK(supported.size() <= std::size(kVersions));
    CHECK(run.out == json::parse(run.out).dump() + "\n");
  });
}

TEST_CASE("VERSION does not read its input", "[cli]") {
  for_each_plugin([](const std::string& plugin) {
    Call call = good_call(plugin, "VERSION");
    call.input = "{ broken";
    CHECK(cni::test::call(plugin, call).status == 0);
  });
}

TEST_CASE("a missing variable is named for each command that needs it", "[cli]") {
  struct Row {
    const char* command;
    const char* needed;
  };
  const Row rows[] = {
      {"ADD", "CNI_CONTAINERID CNI_NETNS CNI_IFNAME CNI_PATH"},
      {"CHECK", "CNI_CONTAINERID CNI_NETNS CNI_IFNAME CNI_PATH"},
      {"RECONCILE", "CNI_CONTAINERID CNI_NETNS CNI_IFNAME CNI_PATH"},
      {"DEL", "CNI_CONTAINERID CNI_IFNAME CNI_PATH"},
      {"GC", "CNI_PATH"},
      {"STATUS", "CNI_PATH"},
  };
  const struct {
    const char* name;
    std::string Call::*value;
  } variables[] = {{"CNI_CONTAINERID", &Call::container_id},
                   {"CNI_NETNS", &Call::netns},
                   {"CNI_IFNAME", &Call::ifname},
                   {"CNI_PATH", &Call::path}};
  for_each_plugin([&](const std::string& plugin) {
    for (const Row& row : rows) {
      INFO(row.command);
      std::string all;
      Call nothing = good_call(plugin, row.command);
      for (const auto& variable : variables) {
        nothing.*variable.value = "";
        if (std::string(row.needed).find(variable.name) == std::string::npos) continue;
        all += (all.empty() ? "" : ",") + std::string(variable.name);
        Call call = good_call(plugin, row.command);
        call.*variable.value = "";
        const PluginRun run = cni::test::call(plugin, call);
        check_error(run, 4, "required env variables [" + std::string(variable.name) + "] missing");
        CHECK(run.details().empty());
      }
      check_error(cni::test::call(plugin, nothing), 4,
                  "required env variables [" + all + "] missing");
    }
  });
}

TEST_CASE("a variable that is set but empty is missing", "[cli]") {
  for_each_plugin([](const std::string& plugin) {
    Call call = good_call(plugin, "ADD");
    call.more_environment = {"CNI_NETNS=", "CNI_IFNAME="};
    check_error(cni::test::call(plugin, call), 4,
                "required env variables [CNI_NETNS,CNI_IFNAME] missing");
  });
}

TEST_CASE("a bad container id is reported before a missing variable", "[cli]") {
  for_each_plugin([](const std::string& plugin) {
    Call call = good_call(plugin, "ADD");
    call.container_id = "../escape";
    call.ifname.clear();
    const PluginRun run = cni::test::call(plugin, call);
    check_error(run, 4, "invalid characters in containerID");
    CHECK(run.details() == "../escape");
  });
}

TEST_CASE("container ids with separators or control characters or a bad start are refused",
          "[cli]") {
  for_each_plugin([](const std::string& plugin) {
    for (const char* command : {"ADD", "DEL", "CHECK"}) {
      for (const char* id : {"/", "a/b", "..", "../x", ".a", "-a", "_a", "a b", "a\nb", "a\x01",
                             "\xc3\xbc", "a:b", "a\\b", "a;b"}) {
        INFO(command << " " << id);
        Call call = good_call(plugin, command);
        call.container_id = id;
        check_error(cni::test::call(plugin, call), 4, "invalid characters in containerID");
      }
    }
  });
}

TEST_CASE("interface names that the kernel would not take are refused", "[cli]") {
  const struct {
    const char* name;
    const char* message;
  } rows[] = {
      {"1234567890123456", "interface name is too long"},
      {"..", "interface name is . or .."},
      {".", "interface name is . or .."},
      {"a/b", "interface name contains / or : or whitespace characters"},
      {"../b", "interface name contains / or : or whitespace characters"},
      {"eth0:1", "interface name contains / or : or whitespace characters"},
      {"a b", "interface name contains / or : or whitespace characters"},
      {"a\tb", "interface name contains / or : or whitespace characters"},
      {"a\nb", "interface name contains / or : or whitespace characters"},
      {"a\xc2\xa0z", "interface name contains / or : or whitespace characters"},
      // Fifteen letters but more octets.
      {"\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc",
       "interface name is too long"},
  };
  for_each_plugin([&](const std::string& plugin) {
    for (const char* command : {"ADD", "DEL", "CHECK"}) {
      for (const auto& row : rows) {
        INFO(command << " " << row.name);
        Call call = good_call(plugin, command);
        call.ifname = row.name;
        check_error(cni::test::call(plugin, call), 4, row.message);
      }
    }
  });
}

TEST_CASE("GC and STATUS do not look at container id and interface", "[cli]") {
  for_each_plugin([](const std::string& plugin) {
    for (const char* command : {"GC", "STATUS"}) {
      Call call = good_call(plugin, command);
      call.container_id = "../x";
      call.ifname = "a/b";
      CHECK(cni::test::call(plugin, call).code() != 4);
    }
  });
}

TEST_CASE("input that is not one JSON object is refused before the command is looked at", "[cli]") {
  const std::string good = R"({"cniVersion":"1.1.0","name":"net"})";
  std::vector<std::string> inputs = {"",
                                     " ",
                                     "null!",
                                     "{",
                                     good.substr(0, good.size() - 1),
                                     good + "}",
                                     good + good,
                                     "[]",
                                     "\"text\"",
                                     "7",
                                     R"({"name":7})",
                                     R"({"name":["net"]})",
                                     R"({"name":"net","cniVersion":1.1})",
                                     "{\"name\":\"n\xff\"}",
                                     std::string("{\"name\":\"net\"}\0", 15)};
  // Cut at every place.
  for (std::size_t size = 1; size < good.size(); size += 5) inputs.push_back(good.substr(0, size));
  for_each_plugin([&](const std::string& plugin) {
    for (const char* command : {"ADD", "DEL", "NONE"}) {
      for (const std::string& input : inputs) {
        INFO(command << " with " << input);
        Call call = good_call(plugin, command);
        call.input = input;
        check_error(cni::test::call(plugin, call), 6, "error unmarshall network config: ");
      }
    }
  });
}

TEST_CASE("deep nesting is refused and does not crash", "[cli]") {
  for_each_plugin([](const std::string& plugin) {
    for (const char* open : {"[", "{\"a\":"}) {
      Call call = good_call(plugin, "ADD");
      call.input = "{\"name\":\"net\",\"x\":";
      for (int i = 0; i < 200000; ++i) call.input += open;
      check_error(cni::test::call(plugin, call), 6, "error unmarshall network config: ");
    }
  });
}

TEST_CASE("ten megabytes of configuration are read to the end", "[cli]") {
  for_each_plugin([](const std::string& plugin) {
    Call call = good_call(plugin, "NONE");
    call.input = config(plugin, {{"padding", std::string(10 << 20, 'x')}});
    check_error(cni::test::call(plugin, call), 4, "unknown CNI_COMMAND: NONE");
    call.input.pop_back();
    check_error(cni::test::call(plugin, call), 6, "error unmarshall network config: ");
  });
}

TEST_CASE("an unknown command is refused after the input", "[cli]") {
  for_each_plugin([](const std::string& plugin) {
    for (const char* command : {"FOO", "add", "ADD ", "UPGRADE"}) {
      check_error(cni::test::call(plugin, good_call(plugin, command)), 4,
                  "unknown CNI_COMMAND: " + std::string(command));
    }
  });
}

TEST_CASE("a network without a usable name is refused", "[cli]") {
  for_each_plugin([](const std::string& plugin) {
    for (const char* command : {"ADD", "DEL", "CHECK", "GC", "STATUS"}) {
      INFO(command);
      Call call = good_call(plugin, command);
      call.input = R"({"cniVersion":"1.1.0"})";
      check_error(cni::test::call(plugin, call), 7, "missing network name");
      call.input = R"({"cniVersion":"1.1.0","name":""})";
      check_error(cni::test::call(plugin, call), 7, "missing network name");
      for (const char* name : {"../up", "a/b", "..", ".hidden", "-x", "a b", "n\nm", "a\\b"}) {
        INFO(name);
        call.input = config(plugin, {{"name", name}});
        const PluginRun run = cni::test::call(plugin, call);
        check_error(run, 7, "invalid characters found in network name");
        CHECK(run.details() == name);
      }
    }
  });
}

TEST_CASE("a version that is not spoken is refused with the versions that are", "[cli]") {
  for_each_plugin([](const std::string& plugin) {
    for (const char* command : {"ADD", "DEL"}) {
      for (const char* version : {"9.0.0", "1.0", "1.2.0", "v1.0.0", "0.5.0", "latest"}) {
        INFO(command << " " << version);
        Call call = good_call(plugin, command);
        call.input = config(plugin, {{"cniVersion", version}});
        const PluginRun run = cni::test::call(plugin, call);
        check_error(run, 1, "incompatible CNI versions");
        CHECK(run.details().rfind(
                  "config is \"" + std::string(version) + "\", plugin supports [\"0.", 0) == 0);
        CHECK(run.document.at("cniVersion") == version);
      }
    }
  });
}

TEST_CASE("CHECK and GC and STATUS came with later versions", "[cli]") {
  const struct {
    const char* command;
    std::size_t first;  // index in kVersions
  } rows[] = {{"CHECK", 4}, {"RECONCILE", 4}, {"GC", 6}, {"STATUS", 6}};
  for_each_plugin([&](const std::string& plugin) {
    for (const auto& row : rows) {
      const std::string refused = "config version does not allow " + std::string(row.command);
      for (std::size_t i = 0; i < row.first; ++i) {
        INFO(row.command << " " << kVersions[i]);
        Call call = good_call(plugin, row.command);
        call.input = config(plugin, {{"cniVersion", kVersions[i]}});
        check_error(cni::test::call(plugin, call), 1, refused);
      }
      Call call = good_call(plugin, row.command);
      call.input = R"({"name":"net"})";
      check_error(cni::test::call(plugin, call), 1, refused);
      call.input = config(plugin, {{"cniVersion", "9.0.0"}});
      check_error(cni::test::call(plugin, call), 1,
                  "plugin version does not allow " + std::string(row.command));
      call.input = config(plugin, {{"cniVersion", "one"}});
      check_error(cni::test::call(plugin, call), 6, "cniVersion: ");
    }
  });
}

TEST_CASE("a shared key of the wrong type fails ADD and is named", "[cli]") {
  const std::pair<const char*, json> rows[] = {{"type", 1},
                                               {"capabilities", {{"mac", "yes"}}},
                                               {"ipam", json::array()},
                                               {"dns", "x"},
                                               {"prevResult", "x"}};
  for_each_plugin([&](const std::string& plugin) {
    for (const auto& [key, value] : rows) {
      INFO(key);
      Call call = good_call(plugin, "ADD");
      call.input = config(plugin, {{key, value}});
      check_error(cni::test::call(plugin, call), 6, key);
    }
  });
}

TEST_CASE("arguments of the executable are no business of the protocol", "[cli]") {
  // The reference ignores them too; programs that do have commands are told apart by their own
  // tests.
  const PluginRun run = [] {
    Call call = good_call("loopback", "VERSION");
    call.wrapper = {"sh", "-c", "exec \"$0\" --version VERSION"};
    return cni::test::call("loopback", call);
  }();
  CHECK(run.status == 0);
  CHECK(run.document.is_object());
}

}  // namespace
}  // namespace cni::test
