// host-local as an executable on a store that others use at the same time: processes of its own,
// and the reference's.
#include <algorithm>
#include <chrono>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "pkg/os/file.hpp"
#include "pkg/os/lock.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/netns_fixture.hpp"
#include "test/support/run_plugin.hpp"
#include "test/support/temporary_folder.hpp"

namespace cni::test {
namespace {

std::string config(const std::string& data_dir, const json& ranges) {
  return json{{"cniVersion", "1.0.0"},
              {"name", "net"},
              {"ipam", {{"type", "host-local"}, {"dataDir", data_dir}, {"ranges", ranges}}}}
      .dump();
}

PluginRun run(const std::string& executable, const std::string& command, const std::string& id,
              const std::string& input, const std::string& args = {},
              const std::vector<std::string>& wrapper = {}) {
  Call what;
  what.command = command;
  what.container_id = id;
  what.netns = "/run/netns/none";
  what.args = args;
  what.input = input;
  what.wrapper = wrapper;
  // The sanitizers' search for leaks cannot work in a traced process.
  if (!wrapper.empty()) what.more_environment = {"ASAN_OPTIONS=detect_leaks=0"};
  return call(executable, what);
}

// Address to content, as the files have it.
std::map<std::string, std::string> reservations(const std::string& data_dir) {
  std::map<std::string, std::string> out;
  for (const std::string& name : os::list_directory(data_dir + "/net")) {
    if (Ip::parse(name)) out[name] = file_text(data_dir + "/net/" + name);
  }
  return out;
}

std::vector<std::string> addresses_of(const PluginRun& added) {
  std::vector<std::string> out;
  for (const json& ip : added.document["ips"]) {
    const std::string text = ip["address"];
    out.push_back(text.substr(0, text.find('/')));
  }
  return out;
}

TEST_CASE("64 host-local processes at a time give no address twice and leave none") {
  constexpr int kWorkers = 64;
  constexpr int kContainers = 1000;
  TemporaryFolder folder;
  const std::string input = config(
      folder.path(), json::parse(R"([[{"subnet":"10.1.0.0/21"}],[{"subnet":"fd00::/112"}]])"));
  // Every container has an ADD; two of three a DEL and another ADD.
  std::vector<std::vector<PluginRun>> runs(kWorkers);
  const auto in_parallel = [&](const auto& work) {
    std::vector<std::thread> threads;
    for (int worker = 0; worker < kWorkers; ++worker) {
      threads.emplace_back([&, worker] {
        for (int i = worker; i < kContainers; i += kWorkers) work(worker, i);
      });
    }
    for (std::thread& thread : threads) thread.join();
  };
  in_parallel([&](int worker, int i) {
    const std::string id = cat("c", i);
    runs[static_cast<std::size_t>(worker)].push_back(run("host-local", "ADD", id, input));
    if (i % 3 == 0) return;
    runs[static_cast<std::size_t>(worker)].push_back(run("host-local", "DEL", id, input));
    runs[static_cast<std::size_t>(worker)].push_back(run("host-local", "ADD", id, input));
  });
  std::map<std::string, int> containers;
  for (const auto& list : runs) {
    for (const PluginRun& result : list) {
      INFO(result.describe());
      REQUIRE(result.ok());
    }
  }
  const auto held = reservations(folder.path());
  CHECK(held.size() == 2 * kContainers);
  for (const auto& [address, content] : held) ++containers[content];
  CHECK(containers.size() == kContainers);
  CHECK(std::all_of(containers.begin(), containers.end(),
                    [](const auto& entry) { return entry.second == 2; }));
  std::vector<int> failed(kWorkers);
  in_parallel([&](int worker, int i) {
    const std::string id = cat("c", i);
    if (!run("host-local", "CHECK", id, input).ok() || !run("host-local", "DEL", id, input).ok()) {
      ++failed[static_cast<std::size_t>(worker)];
    }
  });
  CHECK(failed == std::vector<int>(kWorkers));
  CHECK(reservations(folder.path()).empty());
}

TEST_CASE("host-local that waits for the lock of a removed folder goes on with the new one") {
  TemporaryFolder folder;
  const std::string input = config(folder.path(), json::parse(R"([[{"subnet":"10.1.0.0/24"}]])"));
  REQUIRE(run("host-local", "ADD", "first", input).ok());
  os::FileLock lock(folder / "net/lock");
  PluginRun waited;
  std::thread waiting([&] { waited = run("host-local", "ADD", "second", input); });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  remove_tree(folder / "net");
  REQUIRE(run("host-local", "ADD", "third", input).ok());
  lock = os::FileLock(folder / "other");
  waiting.join();
  INFO(waited.describe());
  CHECK(waited.ok());
  CHECK(reservations(folder.path()) ==
        std::map<std::string, std::string>{{"10.1.0.2", "third\r\neth0"},
                                           {"10.1.0.3", "second\r\neth0"}});
  CHECK(run("host-local", "DEL", "second", input).ok());
  CHECK(run("host-local", "DEL", "third", input).ok());
  CHECK(reservations(folder.path()).empty());
}

// System calls of one run.
std::size_t system_calls(const std::string& strace, const std::string& command,
                         const std::string& input, const std::string& log) {
  const PluginRun result =
      run("host-local", command, "probe", input, {}, {strace, "-qq", "-f", "-o", log});
  INFO(result.describe());
  REQUIRE(result.ok());
  const std::string text = file_text(log);
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST_CASE("host-local makes as many system calls with 20000 held addresses as with none") {
  const std::string strace = require_program("strace");
  TemporaryFolder folder;
  const std::string input = config(folder.path(), json::parse(R"([[{"subnet":"10.0.0.0/16"}]])"));
  REQUIRE(run("host-local", "ADD", "first", input).ok());
  std::map<std::string, std::size_t> empty;
  const std::vector<std::string> commands = {"ADD", "CHECK", "DEL", "DEL"};
  for (const auto& command : commands) {
    empty[command] = system_calls(strace, command, input, folder / "log");
  }
  Ip address = Ip::parse("10.0.1.0").value();
  for (int i = 0; i < 20000; ++i, address = address.next()) {
    write_file(folder / ("net/" + address.to_string()), cat("held", i, "\r\neth0"));
  }
  // The last one is somewhere in the held run, so that ADD has to find its end.
  write_file(folder / "net/last_reserved_ip.0", "10.0.2.3");
  REQUIRE(run("host-local", "DEL", "first", input).ok());
  for (const auto& command : commands) {
    INFO(command);
    CHECK(system_calls(strace, command, input, folder / "log") <= empty[command] + 30);
  }
}

// Random steps of several executables on one store, each compared with what the files say before
// and after.
class Interleaved {
 public:
  Interleaved(std::vector<std::string> executables, unsigned seed)
      : executables_(std::move(executables)), random_(seed) {}

  void step() {
    const std::string id = cat("container", pick(40));
    const std::string owner = id + "\r\neth0";
    const std::string& executable = executables_[pick(executables_.size())];
    const auto before = reservations(folder_.path());
    const bool has = std::any_of(before.begin(), before.end(),
                                 [&](const auto& entry) { return entry.second == owner; });
    const std::size_t what = pick(10);
    UNSCOPED_INFO(executable << " on " << id << ", choice " << what);
    if (what == 0) {
      CHECK(run(executable, "CHECK", id, input_).ok() == has);
      CHECK(reservations(folder_.path()) == before);
    } else if (has || what == 1) {
      remove(executable, id, owner, before);
    } else {
      add(executable, id, owner, before, what == 2);
    }
  }

 private:
  std::size_t pick(std::size_t count) { return random_() % count; }

  void remove(const std::string& executable, const std::string& id, const std::string& owner,
              std::map<std::string, std::string> expected) {
    REQUIRE(run(executable, "DEL", id, input_).ok());
    std::erase_if(expected, [&](const auto& entry) { return entry.second == owner; });
    REQUIRE(reservations(folder_.path()) == expected);
  }

  void add(const std::string& executable, const std::string& id, const std::string& owner,
           std::map<std::string, std::string> expected, bool requested) {
    const std::string wanted = cat("10.1.0.", 2 + pick(29));
    const PluginRun result =
        run(executable, "ADD", id, input_, requested ? "IP=" + wanted : std::string());
    UNSCOPED_INFO(result.describe());
    const std::size_t of_ipv4 = static_cast<std::size_t>(std::count_if(
        expected.begin(), expected.end(),
        [](const auto& entry) { return entry.first.find(':') == std::string::npos; }));
    const bool possible = requested ? !expected.contains(wanted) : of_ipv4 < 29;
    REQUIRE(result.ok() == possible);
    if (possible) {
      for (const std::string& address : addresses_of(result)) {
        REQUIRE_FALSE(expected.contains(address));
        expected[address] = owner;
      }
    }
    REQUIRE(reservations(folder_.path()) == expected);
  }

  TemporaryFolder folder_;
  std::string input_ = config(
      folder_.path(), json::parse(R"([[{"subnet":"10.1.0.0/27"}],[{"subnet":"fd00::/120"}]])"));
  std::vector<std::string> executables_;
  std::mt19937 random_;
};

TEST_CASE("host-local alone keeps its store right through random steps") {
  Interleaved steps({"host-local"}, 1);
  for (int i = 0; i < 1000; ++i) steps.step();
}

TEST_CASE("host-local and the reference share a store through random steps") {
  const std::string reference = require_reference() + "/host-local";
  Interleaved steps({"host-local", "host-local", reference}, 2);
  for (int i = 0; i < 1000; ++i) steps.step();
}

TEST_CASE("host-local and the reference give no address twice when both run at once") {
  const std::string reference = require_reference() + "/host-local";
  TemporaryFolder folder;
  const std::string input = config(folder.path(), json::parse(R"([[{"subnet":"10.1.0.0/22"}]])"));
  constexpr int kWorkers = 16;
  std::vector<std::thread> threads;
  std::vector<std::string> failures(kWorkers);
  for (int worker = 0; worker < kWorkers; ++worker) {
    threads.emplace_back([&, worker] {
      const std::string executables[] = {"host-local", reference};
      for (int i = 0; i < 40; ++i) {
        const std::string id = cat("w", worker, "i", i);
        // Each executable deletes what the other added; every fourth container stays.
        const auto& own = executables[(worker + i) % 2];
        const PluginRun added = run(own, "ADD", id, input);
        if (!added.ok()) failures[static_cast<std::size_t>(worker)] += added.describe();
        if (i % 4 == 0) continue;
        const PluginRun deleted = run(executables[(worker + i + 1) % 2], "DEL", id, input);
        if (!deleted.ok()) failures[static_cast<std::size_t>(worker)] += deleted.describe();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == std::vector<std::string>(kWorkers));
  std::set<std::string> owners;
  const auto held = reservations(folder.path());
  for (const auto& [address, owner] : held) owners.insert(owner);
  CHECK(held.size() == kWorkers * 10);
  CHECK(owners.size() == held.size());
}

TEST_CASE("host-local prints what the reference prints") {
  const std::string reference = require_reference() + "/host-local";
  const auto outputs = [&](const std::string& executable) {
    TemporaryFolder folder;
    std::vector<json> out;
    const json ranges = json::parse(R"([[{"subnet":"10.1.0.0/29","rangeStart":"10.1.0.3"},
        {"subnet":"10.2.0.0/24","gateway":"10.2.0.7"}],[{"subnet":"fd00::/64"}]])");
    for (int i = 0; i < 12; ++i) {
      for (const char* version : {"0.2.0", "0.3.1", "1.0.0"}) {
        json document = json::parse(config(folder.path(), ranges));
        document["cniVersion"] = version;
        document["ipam"]["routes"] = {{{"dst", "0.0.0.0/0"}}, {{"dst", "::/0"}, {"gw", "fd00::9"}}};
        const std::string args = i == 5 ? "" : i == 7 ? cat("IP=10.2.0.", 100 + out.size()) : "";
        out.push_back(run(executable, "ADD", cat("c", i, version), document.dump(), args).document);
      }
    }
    return out;
  };
  CHECK(outputs("host-local") == outputs(reference));
}

}  // namespace
}  // namespace cni::test
