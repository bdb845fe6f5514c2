// Real packets of containers on two networks, and many interfaces at once.
#include <sys/stat.h>

#include <atomic>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "pkg/os/file.hpp"
#include "test/netns/plugins/meta/sbr_node.hpp"
#include "test/support/at_once.hpp"

using namespace cni::test;

namespace {

json network(const std::string& number) {
  return {{"type", "bridge"},
          {"bridge", "net" + number},
          {"ipam",
           {{"type", "static"},
            {"addresses",
             {{{"address", "10." + number + ".0.2/24"}, {"gateway", "10." + number + ".0.1"}},
              {{"address", "fd00:" + number + "::2/64"}, {"gateway", "fd00:" + number + "::1"}}}},
            {"routes", {{{"dst", "0.0.0.0/0"}}, {{"dst", "::/0"}}}}}}};
}

// A container "c1" on two bridges. On each there is a router, which is the only one that knows the
// client behind it: 198.51.100.N and 2001:db8:N::1.
class TwoNetworks : public PluginNode {
 public:
  TwoNetworks() {
    (void)spaces.container("c1");
    for (const std::string number : {"1", "2"}) {
      results_.push_back(chain("ADD", network(number), number));
      make_router(number);
    }
  }

  // A call for the interface on that network; ADD's result.
  json chain(const char* command, const json& config, const std::string& number,
             const json& prev_result = nullptr) {
    Call call;
    call.ifname = number == "1" ? "eth0" : "net1";
    const PluginRun result = run(command, config, "c1", prev_result, call);
    INFO(result.describe());
    REQUIRE(result.ok());
    return result.document;
  }
  json sbr(const char* command, const std::string& number) {
    return chain(command, {{"type", "sbr"}}, number, result(number));
  }
  const json& result(const std::string& number) const { return results_[number == "1" ? 0 : 1]; }

 private:
  void make_router(const std::string& number) {
    const std::string router = "router" + number;
    (void)spaces.container(router);
    (void)ip({"link", "add", router, "master", "net" + number, "type", "veth", "peer", "name",
              "eth0", "netns", router});
    (void)ip({"link", "set", router, "up"});
    (void)run_ok_in(router, {"ip", "-b", "-"},
                    "link set lo up\nlink set eth0 up\naddress add 10." + number +
                        ".0.1/24 dev eth0\naddress add fd00:" + number +
                        "::1/64 dev eth0 nodad\naddress add 198.51.100." + number +
                        "/32 dev lo\naddress add 2001:db8:" + number + "::1/128 dev lo nodad\n");
  }

  std::vector<json> results_;
};

bool answers(const std::string& netns, const std::string& source, const std::string& destination) {
  return run_in(netns, {"ping", "-n", "-c", "1", "-i", "0.2", "-w", "3", "-I", source, destination})
      .ok();
}

// Asked by each client in both families, in the order 10.1.0.2, fd00:1::2, 10.2.0.2, fd00:2::2.
std::vector<bool> asked_by_clients() {
  std::vector<bool> out;
  for (const std::string number : {"1", "2"}) {
    out.push_back(answers("router" + number, "198.51.100." + number, "10." + number + ".0.2"));
    out.push_back(
        answers("router" + number, "2001:db8:" + number + "::1", "fd00:" + number + "::2"));
  }
  return out;
}

}  // namespace

TEST_CASE("packets leave by the interface whose address they carry", "[netns][kind:bridge]") {
  require_kind("bridge");
  TwoNetworks node;
  // Their IPv6 default routes are one route of two next hops, in which each finds its own.
  for (const std::string number : {"1", "2"}) {
    (void)node.chain("CHECK", network(number), number, node.result(number));
  }
  // The main table has one default route that counts for IPv4.
  const std::vector<bool> without = asked_by_clients();
  CHECK_FALSE((without[0] && without[2]));
  CHECK_FALSE(answers("c1", "10.1.0.2", "198.51.100.2"));

  CHECK(node.sbr("ADD", "2") == node.result("2"));
  CHECK(asked_by_clients() == std::vector<bool>{true, true, true, true});
  CHECK(answers("c1", "10.2.0.2", "198.51.100.2"));
  CHECK(answers("c1", "fd00:2::2", "2001:db8:2::1"));
  CHECK(answers("c1", "10.1.0.2", "198.51.100.1"));
  // By the default route of the other network, where nobody knows the client.
  CHECK_FALSE(answers("c1", "10.1.0.2", "198.51.100.2"));

  (void)node.sbr("ADD", "1");
  CHECK(asked_by_clients() == std::vector<bool>{true, true, true, true});

  for (const std::string number : {"1", "2"}) {
    (void)node.chain("CHECK", network(number), number, node.result(number));
    (void)node.sbr("CHECK", number);
  }
  for (const std::string number : {"2", "1"}) {
    (void)node.sbr("DEL", number);
    (void)node.chain("DEL", network(number), number, node.result(number));
  }
  CHECK(rules_of("-4").empty());
  CHECK(rules_of("-6").empty());
}

TEST_CASE("without rules IPv6 answers leave by the wrong interface too", "[netns][kind:bridge]") {
  require_kind("bridge");
  TwoNetworks node;
  (void)node.sbr("ADD", "2");
  (void)node.sbr("ADD", "1");
  (void)ip({"-n", "c1", "-6", "rule", "del", "from", "fd00:2::2"});
  CHECK(asked_by_clients() == std::vector<bool>{true, true, true, false});
}

namespace {

constexpr int kInterfaces = 16;

// Calls sbr of one of the folders for every interface of c1 at once, as a runtime would.
void add_at_once(const std::vector<std::string>& folders) {
  run_at_once(kInterfaces, [&](int number) {
    const std::string text = std::to_string(number);
    const std::string ifname = "port" + text;
    json config = {{"type", "sbr"}, {"cniVersion", "1.0.0"}, {"name", "testnet"}};
    config["prevResult"] = addresses_of({{("10." + text + ".0.2/24").c_str(), ""}}, ifname.c_str());
    config["prevResult"]["cniVersion"] = "1.0.0";
    config["prevResult"]["ips"][0]["gateway"] = "10." + text + ".0.1";
    Call add;
    add.command = "ADD";
    add.container_id = "c1";
    add.netns = number % 2 == 0 ? "/run/netns/c1" : "/run/../run/netns/c1";
    add.ifname = ifname;
    add.input = config.dump();
    const std::string& folder = folders[static_cast<std::size_t>(number) % folders.size()];
    const PluginRun run = call(folder + "/sbr", add);
    if (!run.ok()) throw std::runtime_error(run.describe());
  });
}

void check_own_tables(const std::vector<std::string>& folders) {
  SbrNode node;
  for (int number = 0; number < kInterfaces; ++number) {
    const std::string text = std::to_string(number);
    node.batch("link add port" + text + " type veth peer name end" + text + "\nlink set end" +
               text + " up\nlink set port" + text + " up\naddress add 10." + text +
               ".0.2/24 dev port" + text + "\n");
  }
  add_at_once(folders);
  std::set<std::string> tables;
  for (const json& rule : ip_in("c1", {"-j", "-4", "rule", "show"})) {
    if (rule.at("src") == "all") continue;
    const std::string table = rule.at("table");
    tables.insert(table);
    const json routes = ip_in("c1", {"-j", "-4", "route", "show", "table", table});
    const std::string source = rule.at("src");
    const std::string ifname = "port" + source.substr(3, source.find('.', 3) - 3);
    INFO(source << " " << routes.dump());
    CHECK(routes.size() == 2);
    for (const json& route : routes) CHECK(route.at("dev") == ifname);
  }
  CHECK(tables.size() == kInterfaces);
}

}  // namespace

TEST_CASE("interfaces that come at once get tables of their own", "[netns]") {
  check_own_tables({CNI_TEST_BIN_DIR});
}

TEST_CASE("interfaces that come at once with those of the reference get tables of their own",
          "[netns]") {
  check_own_tables({CNI_TEST_BIN_DIR, require_reference(), require_reference()});
}

namespace {

// Whether a process waits for a lock of the namespace, as the kernel lists locks.
bool is_waited_for(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  const std::string locks = cni::os::read_file("/proc/locks").value_or("");
  const std::string inode = ":" + std::to_string(status.st_ino) + " ";
  for (std::size_t at = locks.find("-> FLOCK"); at != std::string::npos;
       at = locks.find("-> FLOCK", at + 1)) {
    if (locks.substr(at, locks.find('\n', at) - at).find(inode) != std::string::npos) return true;
  }
  return false;
}

Call add_of_eth0() {
  json config = {{"type", "sbr"}, {"cniVersion", "1.1.0"}, {"name", "testnet"}};
  config["prevResult"] = addresses_of({{"10.1.0.2/24", "10.1.0.1"}}, "eth0");
  Call add;
  add.command = "ADD";
  add.container_id = "c1";
  add.netns = "/run/../run/netns/c1";
  add.input = config.dump();
  return add;
}

// An ADD for eth0 comes while one for net1 has chosen a table and not taken it yet.
void check_wait(const std::string& folder) {
  SbrNode node;
  const Call other = add_of_eth0();
  PluginRun other_run;
  std::atomic<bool> is_over = false;
  std::thread thread;
  Call add = other;
  add.ifname = "net1";
  json config = json::parse(add.input);
  config["prevResult"] = addresses_of({{"10.2.0.2/24", "10.2.0.1"}});
  add.input = config.dump();
  Hooks hooks;
  hooks.on_undo_push = [&](std::string_view) {
    if (thread.joinable()) return;
    thread = std::thread([&] {
      other_run = call(folder + "/sbr", other);
      is_over = true;
    });
    while (!is_over && !is_waited_for("/run/netns/c1")) std::this_thread::yield();
  };
  const PluginRun run = call_in_process(plugin_named("sbr"), add, hooks);
  thread.join();
  INFO(run.describe() << other_run.describe());
  CHECK(run.ok());
  CHECK(other_run.ok());
  CHECK(rules_of("-4") == std::vector<std::string>{"10.1.0.2 101", "10.2.0.2 100"});
}

}  // namespace

TEST_CASE("an ADD waits until another one has its tables", "[netns]") {
  check_wait(CNI_TEST_BIN_DIR);
}

TEST_CASE("the reference waits until an ADD has its tables", "[netns]") {
  check_wait(require_reference());
}
