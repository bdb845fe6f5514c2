// The firewall's backend firewalld: Debian's own, on a message bus of the case's own.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "pkg/os/fd.hpp"
#include "test/netns/plugins/meta/firewall_node.hpp"

using namespace cni;
using namespace cni::test;

namespace {

constexpr int kMaxLooks = 100;  // of firewall-cmd, some tenths of a second each

// A program that runs until the object ends.
class Daemon {
 public:
  Daemon() = default;
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon() { stop(); }

  // Its stdout and stderr go to that descriptor.
  void start(std::vector<std::string> argv, int output) {
    argv[0] = require_program(argv[0]);
    std::vector<char*> pointers;
    for (std::string& word : argv) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    REQUIRE(::posix_spawn_file_actions_init(&actions) == 0);
    REQUIRE(::posix_spawn_file_actions_adddup2(&actions, output, 1) == 0);
    REQUIRE(::posix_spawn_file_actions_adddup2(&actions, output, 2) == 0);
    const int error =
        ::posix_spawn(&pid_, pointers[0], &actions, nullptr, pointers.data(), ::environ);
    (void)::posix_spawn_file_actions_destroy(&actions);
    REQUIRE(error == 0);
  }

  void stop() {
    if (pid_ < 0) return;
    (void)::kill(pid_, SIGTERM);
    (void)::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
};

// A node where firewalld rules, which rejects what is forwarded unless a zone says otherwise.
class FirewalldNode : public FirewallNode {
 public:
  FirewalldNode() {
    start_bus();
    const std::string folder = node.spaces.folder() + "/firewalld";
    run_ok({"mkdir", "-p", folder + "/zones"});
    const os::Fd log(::open((folder + "/log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    firewalld.start(
        {"firewalld", "--nofork", "--nopid", "--system-config", folder, "--log-target", "console"},
        log.get());
    for (int looks = 0; !run({"firewall-cmd", "--state"}).ok(); ++looks) {
      INFO(file_text(folder + "/log"));
      REQUIRE(looks < kMaxLooks);
    }
  }

  static std::vector<std::string> needed() { return {"dbus-daemon", "firewalld", "firewall-cmd"}; }

  Call bus_call() const {
    Call out = call();
    out.more_environment.push_back("DBUS_SYSTEM_BUS_ADDRESS=" + address_);
    return out;
  }
  PluginRun firewall(std::string_view command, const json& config, const std::string& name,
                     const json& prev_result = nullptr) {
    return node.run(command, config, name, prev_result, bus_call());
  }
  // The zone's sources, as firewalld lists them.
  static std::string sources(const std::string& zone = "trusted") {
    std::string out = run_ok({"firewall-cmd", "--zone", zone, "--list-sources"});
    return out.substr(0, out.find('\n'));
  }

  static json config() { return {{"type", "firewall"}, {"name", "net1"}}; }

 private:
  // Ready when it has said its address.
  void start_bus() {
    const std::string folder = node.spaces.folder() + "/bus";
    run_ok({"mkdir", folder});
    address_ = "unix:path=" + folder + "/socket";
    write_file(folder + "/config",
               cat("<busconfig><type>system</type><listen>", address_,
                   "</listen><auth>EXTERNAL</auth><policy context=\"default\"><allow user=\"*\"/>"
                   "<allow own=\"*\"/><allow send_destination=\"*\"/><allow receive_sender=\"*\"/>"
                   "</policy></busconfig>"));
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    bus_output_.reset(ends[0]);
    os::Fd write_end(ends[1]);
    bus_.start({"dbus-daemon", "--config-file", folder + "/config", "--nofork", "--nopidfile",
                "--print-address"},
               write_end.get());
    write_end.reset();
    std::string said;
    char letter = 0;
    while (said.find("unix:path=") == std::string::npos &&
           ::read(bus_output_.get(), &letter, 1) == 1) {
      said += letter;
    }
    CAPTURE(said);
    REQUIRE(said.find("unix:path=") != std::string::npos);
    REQUIRE(::setenv("DBUS_SYSTEM_BUS_ADDRESS", address_.c_str(), 1) == 0);
  }

  std::string address_;
  os::Fd bus_output_;  // kept open: the daemon may say more
  Daemon bus_;

 public:
  Daemon firewalld;
};

void require_firewalld() {
  require_root_or_skip();
  for (const std::string& program : FirewalldNode::needed()) require_program(program);
}

}  // namespace

TEST_CASE("firewalld lets the container's traffic pass until DEL", "[netns]") {
  require_firewalld();
  FirewalldNode node;
  const json result = node.attach("a", 1);
  const json config = FirewalldNode::config();
  CHECK_FALSE(FirewallNode::connects("a", "outside", "192.0.2.2"));

  FirewallNode::expect_ok(node.firewall("ADD", config, "a", result));
  CHECK(FirewalldNode::sources() ==
        cat(address_in(result, '4'), "/32 ", address_in(result, '6'), "/128"));
  CHECK(count_of("CNI-", node.saved()) == 0);
  CHECK(FirewallNode::connects("a", "outside", "192.0.2.2"));
  CHECK(FirewallNode::connects("a", "outside", "2001:db8::2"));
  FirewallNode::expect_ok(node.firewall("CHECK", config, "a", result));
  FirewallNode::expect_ok(node.firewall("STATUS", config, "a"));
  // Again, as after a restart of the runtime.
  FirewallNode::expect_ok(node.firewall("ADD", config, "a", result));

  FirewallNode::expect_ok(node.firewall("DEL", config, "a"));
  CHECK(FirewalldNode::sources().empty());
  CHECK_FALSE(FirewallNode::connects("a", "outside", "192.0.2.2"));
  FirewallNode::expect_ok(node.firewall("DEL", config, "a", result));
}

TEST_CASE("RECONCILE brings back what a reload of firewalld has lost", "[netns]") {
  require_firewalld();
  FirewalldNode node;
  const json result = node.attach("a", 1);
  json config = FirewalldNode::config();
  config["firewalldZone"] = "work";
  FirewallNode::expect_ok(node.firewall("ADD", config, "a", result));
  CHECK(count_of("/", FirewalldNode::sources("work")) == 2);
  run_ok({"firewall-cmd", "--reload"});
  check_error(node.firewall("CHECK", config, "a", result), 105, "failed to find the address ");
  const PluginRun run = node.firewall("RECONCILE", config, "a", result);
  INFO(run.describe());
  REQUIRE(run.ok());
  CHECK(run.document.at("restored").at(0).at("what") == "firewall rules");
  CHECK(count_of("/", FirewalldNode::sources("work")) == 2);
  FirewallNode::expect_ok(node.firewall("CHECK", config, "a", result));
  // The zone of ADD counts, whatever the configuration says by now.
  FirewallNode::expect_ok(node.firewall("DEL", FirewalldNode::config(), "a"));
  CHECK(FirewalldNode::sources("work").empty());

  config["firewalldZone"] = "no-such-zone";
  check_error(node.firewall("ADD", config, "a", result), 103, "failed to add the address ");
}

TEST_CASE("a policy beside firewalld is kept by iptables", "[netns]") {
  require_firewalld();
  FirewalldNode node;
  const json a = node.attach("a", 1);
  const json c = node.attach("c", 2);
  json config = FirewalldNode::config();
  config["ingressPolicy"] = "same-bridge";
  json other = config;
  other["name"] = "net2";
  FirewallNode::expect_ok(node.firewall("ADD", config, "a", a));
  FirewallNode::expect_ok(node.firewall("ADD", other, "c", c));
  CHECK_FALSE(FirewallNode::connects("c", "a", address_in(a, '4')));
  CHECK(FirewallNode::connects("a", "outside", "192.0.2.2"));
  CHECK(count_of("CNI-FORWARD", node.saved()) == 0);
  FirewallNode::expect_ok(node.firewall("CHECK", config, "a", a));
  FirewallNode::expect_ok(node.firewall("DEL", config, "a"));
  FirewallNode::expect_ok(node.firewall("DEL", other, "c"));
  CHECK(count_of("-A ", node.saved()) == 0);
}

TEST_CASE("without firewalld DEL succeeds and ADD says what to do", "[netns]") {
  require_firewalld();
  FirewalldNode node;
  const json result = node.attach("a", 1);
  json config = FirewalldNode::config();
  FirewallNode::expect_ok(node.firewall("ADD", config, "a", result));
  node.firewalld.stop();
  FirewallNode::expect_ok(node.firewall("DEL", config, "a", result));
  FirewallNode::expect_ok(node.firewall("ADD", config, "a", result));
  CHECK(count_of(address_in(result, '4'), node.saved()) == 2);
  FirewallNode::expect_ok(node.firewall("DEL", config, "a", result));

  config["backend"] = "firewalld";
  const PluginRun run = node.firewall("ADD", config, "a", result);
  check_error(run, 103, "firewalld does not run");
  check_error(node.firewall("STATUS", config, "a"), 50, "firewalld does not run");
  FirewallNode::expect_ok(node.firewall("DEL", config, "a", result));
}

TEST_CASE("firewalld's addresses are swapped with the reference", "[netns]") {
  require_firewalld();
  const std::string reference = require_reference();
  FirewalldNode node;
  const json result = node.attach("a", 1);
  const json config = FirewalldNode::config();
  const auto theirs = [&](const char* command) {
    Call what = node.bus_call();
    what.command = command;
    what.container_id = "a";
    what.netns = "/run/netns/a";
    json whole = config;
    whole["cniVersion"] = "1.0.0";
    whole["prevResult"] = result;
    whole["prevResult"]["cniVersion"] = "1.0.0";
    what.input = whole.dump();
    FirewallNode::expect_ok(call(reference + "/firewall", what));
  };
  theirs("ADD");
  CHECK(count_of("/", FirewalldNode::sources()) == 2);
  FirewallNode::expect_ok(node.firewall("CHECK", config, "a", result));
  FirewallNode::expect_ok(node.firewall("DEL", config, "a", result));
  CHECK(FirewalldNode::sources().empty());
  FirewallNode::expect_ok(node.firewall("ADD", config, "a", result));
  theirs("DEL");
  CHECK(FirewalldNode::sources().empty());
}
