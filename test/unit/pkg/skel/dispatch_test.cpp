#include "pkg/skel/dispatch.hpp"

#include <new>
#include <stdexcept>

#include "pkg/types/error.hpp"
#include "test/support/run_plugin.hpp"

namespace cni::skel {
namespace {

using test::Call;
using test::call_in_process;
using test::Hooks;
using test::PluginRun;
using Texts = std::vector<std::string>;

// What the plugin below did, in order. Plugins are plain functions, so a test's plugin keeps its
// notes here.
Texts& notes() {
  static Texts texts;
  return texts;
}

Result add(const Request& request, os::Undo& undo) {
  notes().push_back("add " + request.container_id);
  undo.push("first step", [] { notes().push_back("undo first"); });
  undo.push("second step", [] {
    notes().push_back("undo second");
    throw Error(Code::kIoFailure, "the disk is gone");
  });
  if (request.ifname == "fail") throw Error(Code::kTryAgainLater, "busy", "really");
  if (request.ifname == "foreign") throw std::runtime_error("not ours");
  if (request.ifname == "memory") throw std::bad_alloc();
  Result result;
  result.interfaces.emplace_back().name = request.ifname;
  return result;
}

void del(const Request& request) {
  notes().push_back(
      cat("del ", request.config.prev_result() != nullptr ? "with" : "without", " prevResult"));
}

void fail(const Request& /*unused*/) { throw Error(Code::kPluginNotAvailable, "not now"); }

constexpr Plugin kPlugin{.name = "probe", .add = add, .del = del, .status = fail};
constexpr std::array<std::string_view, 2> kTwoVersions = {"0.4.0", "1.0.0"};
constexpr Plugin kOldPlugin{.name = "old", .add = add, .del = del, .versions = kTwoVersions};

PluginRun run_probe(const std::string& command, const std::string& ifname = "eth0",
                    const Hooks& hooks = {}, const Plugin& plugin = kPlugin,
                    const std::string& version = "1.1.0") {
  notes().clear();
  Call call;
  call.command = command;
  call.netns = "/none";
  call.ifname = ifname;
  call.input = R"({"name":"net","cniVersion":")" + version + "\"}";
  return call_in_process(plugin, call, hooks);
}

TEST_CASE("a successful ADD prints its result and undoes nothing") {
  const PluginRun run = run_probe("ADD");
  CHECK(run.status == 0);
  CHECK(run.out ==
        "{\n    \"cniVersion\": \"1.1.0\",\n    \"interfaces\": [\n        {\n            "
        "\"name\": \"eth0\"\n        }\n    ]\n}");
  CHECK(notes() == Texts{"add test-container"});
}

TEST_CASE("a failed ADD is rolled back before its error is printed") {
  const PluginRun run = run_probe("ADD", "fail");
  test::check_error(run, 11, "busy");
  CHECK(run.details() == "really; undo failed: second step: the disk is gone");
  CHECK(notes() == Texts{"add test-container", "undo second", "undo first"});
}

TEST_CASE("a foreign exception is an internal error and rolled back too") {
  for (const char* ifname : {"foreign", "memory"}) {
    const PluginRun run = run_probe("ADD", ifname);
    test::check_error(run, 999, "");
    CHECK(notes() == Texts{"add test-container", "undo second", "undo first"});
  }
}

TEST_CASE("an ADD whose result cannot be expressed in its version is rolled back") {
  const PluginRun run = run_probe("ADD", "eth0", {}, kPlugin, "0.2.0");
  test::check_error(run, 2, "cannot convert: no valid IP addresses");
  CHECK(notes() == Texts{"add test-container", "undo second", "undo first"});
}

TEST_CASE("an ADD whose result cannot be written is rolled back") {
  notes().clear();
  Call call;
  call.command = "ADD";
  call.netns = "/none";
  call.input = R"({"name":"net","cniVersion":"1.1.0"})";
  call.stdout_stream = Call::Stream::kFullDevice;
  CHECK(call_in_process(kPlugin, call).status == 1);
  CHECK(notes() == Texts{"add test-container", "undo second", "undo first"});
}

TEST_CASE("the hooks see each step and the moment before printing") {
  Texts seen;
  Hooks hooks;
  hooks.on_undo_push = [&](std::string_view name) { seen.emplace_back(name); };
  hooks.before_print = [&] { seen.push_back("print"); };
  CHECK(run_probe("ADD", "eth0", hooks).status == 0);
  CHECK(seen == Texts{"first step", "second step", "print"});
}

TEST_CASE("a verb that a plugin does not have succeeds without output") {
  for (const char* command : {"CHECK", "GC"}) {
    const PluginRun run = run_probe(command);
    CHECK(run.status == 0);
    CHECK(run.out.empty());
  }
  test::check_error(run_probe("STATUS"), 50, "not now");
}

TEST_CASE("RECONCILE of a plugin without it restores nothing and says so") {
  const PluginRun run = run_probe("RECONCILE");
  CHECK(run.status == 0);
  CHECK(run.document.at("cniVersion") == "1.1.0");
  CHECK(run.document.at("restored") == test::json::array());
  test::check_error(run_probe("RECONCILE", "eth0", {}, kPlugin, "0.3.1"), 1,
                    "config version does not allow RECONCILE");
}

TEST_CASE("a plugin's own list of versions decides") {
  CHECK(run_probe("ADD", "eth0", {}, kOldPlugin, "1.0.0").status == 0);
  const PluginRun run = run_probe("ADD", "eth0", {}, kOldPlugin, "1.1.0");
  test::check_error(run, 1, "incompatible CNI versions");
  CHECK(run.details() == "config is \"1.1.0\", plugin supports [\"0.4.0\" \"1.0.0\"]");
  CHECK(notes().empty());
  test::check_error(run_probe("CHECK", "eth0", {}, kOldPlugin, "1.1.0"), 1,
                    "plugin version does not allow CHECK");
}

TEST_CASE("DEL takes what it can get of the shared keys") {
  notes().clear();
  Call call;
  call.command = "DEL";
  call.input =
      R"({"name":"net","cniVersion":"1.1.0","dns":7,"capabilities":[],"prevResult":{"cniVersion":"0.2.0"}})";
  CHECK(call_in_process(kPlugin, call).status == 0);
  CHECK(notes() == Texts{"del without prevResult"});
}

TEST_CASE("texts that are no UTF-8 do not spoil the error object") {
  Call call;
  call.command = "ADD";
  call.netns = "/none";
  call.container_id = "a\xff";
  const PluginRun run = call_in_process(kPlugin, call);
  test::check_error(run, 4, "invalid characters in containerID");
  CHECK(run.details() == "a\xef\xbf\xbd");
}

}  // namespace
}  // namespace cni::skel
