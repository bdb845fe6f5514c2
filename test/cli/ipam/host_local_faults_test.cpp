// host-local as an executable when things go wrong: killed anywhere, system calls that fail, full
// and read-only disks.
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <set>
#include <sstream>

#include "pkg/os/fd.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/fault.hpp"
#include "test/support/netns_fixture.hpp"
#include "test/support/run_plugin.hpp"
#include "test/support/temporary_folder.hpp"

namespace cni::test {
namespace {

// A network with two range sets whose state is below a folder.
class Network {
 public:
  explicit Network(std::string data_dir, std::string subnet = "10.1.0.0/24")
      : data_dir_(std::move(data_dir)), subnet_(std::move(subnet)) {}

  PluginRun run(const std::string& command, const std::string& id,
                const std::vector<std::string>& wrapper = {}) const {
    Call what;
    what.command = command;
    what.container_id = id;
    what.netns = "/run/netns/none";
    what.wrapper = wrapper;
    what.input = json{{"cniVersion", "1.1.0"},
                      {"name", "net"},
                      {"ipam",
                       {{"type", "host-local"},
                        {"dataDir", data_dir_},
                        {"ranges", {{{{"subnet", subnet_}}}, {{{"subnet", "fd00::/64"}}}}}}}}
                     .dump();
    return call("host-local", what);
  }
  bool ok(const std::string& command, const std::string& id) const {
    const PluginRun result = run(command, id);
    UNSCOPED_INFO(result.describe());
    return result.ok();
  }
  // Files that stand for an address.
  std::size_t held() const {
    std::size_t count = 0;
    for (const std::string& name : os::list_directory(data_dir_ + "/net")) {
      if (Ip::parse(name)) ++count;
    }
    return count;
  }

 private:
  std::string data_dir_;
  std::string subnet_;
};

// One system call of a run: strace counts each kind for itself.
struct SystemCall {
  std::string name;
  int number = 0;
};

std::vector<std::string> inject(const std::string& strace, const SystemCall& at,
                                const std::string& fault) {
  return {strace,      "-qq", "-o",
          "/dev/null", "-e",  cat("inject=", at.name, ":", fault, ":when=", at.number)};
}

// The C library gives up at once when it gets no memory, before anything of ours; brk never returns
// an error number at all.
bool is_about_memory(const std::string& name) {
  static const std::set<std::string> kNames = {"brk",     "mmap",   "munmap",
                                               "madvise", "mremap", "mprotect"};
  return kNames.contains(name);
}

// The system calls of a healthy run, in order, without those that start and end it and those about
// memory.
std::vector<SystemCall> system_calls(const Network& network, const std::string& strace,
                                     const std::string& command, const std::string& id) {
  const TemporaryFolder folder;
  REQUIRE(network.run(command, id, {strace, "-qq", "-o", folder / "log"}).ok());
  std::istringstream log(file_text(folder / "log"));
  std::map<std::string, int> numbers;
  std::vector<SystemCall> out;
  for (std::string line; std::getline(log, line);) {
    const std::string name = line.substr(0, line.find('('));
    if (name.size() == line.size() || name == "execve" || name == "exit_group") continue;
    if (is_about_memory(name)) continue;
    out.push_back({name, ++numbers[name]});
  }
  REQUIRE(out.size() > 30);
  return out;
}

TEST_CASE("host-local killed at any system call of ADD leaves nothing that DEL does not release") {
  require_fault_injection();
  const std::string strace = require_program("strace");
  TemporaryFolder folder;
  const Network network(folder.path());
  REQUIRE(network.ok("ADD", "kept"));
  const auto calls = system_calls(network, strace, "ADD", "a");
  REQUIRE(network.ok("DEL", "a"));
  for (const SystemCall& at : calls) {
    INFO(at.name << " " << at.number);
    CHECK(network.run("ADD", "a", inject(strace, at, "signal=KILL")).signal == SIGKILL);
    // Whatever it left, another attachment neither gets a held address nor fails.
    REQUIRE(network.ok("ADD", "b"));
    REQUIRE(network.ok("CHECK", "b"));
    REQUIRE(network.ok("DEL", "a"));
    REQUIRE(network.ok("DEL", "b"));
    REQUIRE(network.held() == 2);
    REQUIRE(network.ok("CHECK", "kept"));
  }
}

TEST_CASE("host-local killed at any system call of DEL or GC can be called again") {
  require_fault_injection();
  const std::string strace = require_program("strace");
  const std::string command = GENERATE("DEL", "GC");
  TemporaryFolder folder;
  const Network network(folder.path());
  REQUIRE(network.ok("ADD", "a"));
  for (const SystemCall& at : system_calls(network, strace, command, "a")) {
    INFO(command << " " << at.name << " " << at.number);
    REQUIRE(network.ok("ADD", "a"));
    CHECK(network.run(command, "a", inject(strace, at, "signal=KILL")).signal == SIGKILL);
    REQUIRE(network.ok("ADD", "b"));
    REQUIRE(network.ok("DEL", "b"));
    REQUIRE(network.ok(command, "a"));
    REQUIRE(network.held() == 0);
  }
}

TEST_CASE("host-local ADD leaves no address when any one system call fails") {
  require_fault_injection();
  const std::string strace = require_program("strace");
  const std::string error = GENERATE("EIO", "ENOMEM", "ENOSPC");
  TemporaryFolder folder;
  const Network network(folder.path());
  REQUIRE(network.ok("ADD", "kept"));
  const auto calls = system_calls(network, strace, "ADD", "a");
  REQUIRE(network.ok("DEL", "a"));
  int failures = 0;
  for (const SystemCall& at : calls) {
    const PluginRun result = network.run("ADD", "a", inject(strace, at, "error=" + error));
    INFO(at.name << " " << at.number);
    INFO(result.describe());
    if (result.ok()) {
      REQUIRE(result.document["ips"].size() == 2);
      REQUIRE(network.held() == 4);
    } else {
      ++failures;
      CHECK(at.name != "close");
      REQUIRE(network.held() == 2);
    }
    REQUIRE(network.ok("DEL", "a"));
    REQUIRE(network.held() == 2);
    REQUIRE(network.ok("CHECK", "kept"));
  }
  CHECK(failures > 10);
}

TEST_CASE("host-local DEL that fails at any one system call can be called again") {
  require_fault_injection();
  const std::string strace = require_program("strace");
  TemporaryFolder folder;
  const Network network(folder.path());
  REQUIRE(network.ok("ADD", "kept"));
  REQUIRE(network.ok("ADD", "a"));
  for (const SystemCall& at : system_calls(network, strace, "DEL", "a")) {
    REQUIRE(network.ok("ADD", "a"));
    const PluginRun result = network.run("DEL", "a", inject(strace, at, "error=EIO"));
    INFO(at.name << " " << at.number);
    INFO(result.describe());
    // A release that did not happen is never reported as one.
    if (result.ok()) REQUIRE(network.held() == 2);
    REQUIRE(network.ok("DEL", "a"));
    REQUIRE(network.held() == 2);
    REQUIRE(network.ok("CHECK", "kept"));
  }
}

// A small file system of its own below the fixture's private mount namespace.
class SmallDisk {
 public:
  SmallDisk(const Namespaces& namespaces, const std::string& options)
      : path_(namespaces.folder() + "/disk") {
    os::make_directories(path_);
    if (::mount("tmpfs", path_.c_str(), "tmpfs", 0, options.c_str()) != 0) {
      throw system_error("mount a tmpfs", errno);
    }
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() { (void)::umount2(path_.c_str(), MNT_DETACH); }

  const std::string& path() const { return path_; }
  void make_read_only() const {
    REQUIRE(::mount("none", path_.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0);
  }

 private:
  std::string path_;
};

// Takes what is left of the room.
void fill(const std::string& path) {
  const os::Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  const std::string page(4096, 'x');
  while (fd && ::write(fd.get(), page.data(), page.size()) > 0) {
  }
}

TEST_CASE("host-local on a full disk fails without a trace and works again when there is room") {
  const std::string options = GENERATE("size=80k", "nr_inodes=16", "size=20k");
  require_root_or_skip();
  const Namespaces namespaces;
  const SmallDisk disk(namespaces, options);
  const Network network(disk.path());
  int added = 0;
  PluginRun full;
  for (; added < 100; ++added) {
    full = network.run("ADD", cat("c", added));
    if (!full.ok()) break;
  }
  INFO(options);
  INFO(full.describe());
  REQUIRE(added < 100);
  CHECK(full.code() == static_cast<int>(Code::kIoFailure));
  CHECK(full.msg().find("no space left on device") != std::string::npos);
  CHECK(network.held() == 2 * static_cast<std::size_t>(added));
  fill(disk.path() + "/filler");
  const PluginRun status = network.run("STATUS", "");
  CHECK(status.code() == static_cast<int>(Code::kPluginNotAvailable));
  for (int i = 0; i < added; ++i) CHECK(network.ok("CHECK", cat("c", i)));
  for (int i = 0; i < added; ++i) CHECK(network.ok("DEL", cat("c", i)));
  CHECK(network.held() == 0);
  (void)os::remove_file(disk.path() + "/filler");  // there is none where the names ran out
  CHECK(network.ok("ADD", "again"));
}

TEST_CASE("host-local with read-only state says so and needs no writing for what it only reads") {
  require_root_or_skip();
  const Namespaces namespaces;
  const SmallDisk disk(namespaces, "size=1m");
  const Network network(disk.path());
  const bool with_lock = GENERATE(true, false);
  REQUIRE(network.ok("ADD", "kept"));
  if (!with_lock) REQUIRE(os::remove_file(disk.path() + "/net/lock"));
  disk.make_read_only();
  const PluginRun add = network.run("ADD", "a");
  CHECK(add.code() == static_cast<int>(Code::kIoFailure));
  CHECK(add.msg().find("read-only file system") != std::string::npos);
  CHECK(network.run("STATUS", "").code() == static_cast<int>(Code::kPluginNotAvailable));
  CHECK(network.ok("CHECK", "kept"));
  CHECK(network.ok("DEL", "never-added"));
  const PluginRun del = network.run("DEL", "kept");
  CHECK(del.code() == static_cast<int>(Code::kIoFailure));
  CHECK(del.msg().find("10.1.0.2: read-only file system") != std::string::npos);
  CHECK(del.msg().find("fd00::2: read-only file system") != std::string::npos);
}

TEST_CASE("host-local uses no index of an earlier boot") {
  require_root_or_skip();
  const Namespaces namespaces;
  const Network network(namespaces.folder());
  REQUIRE(network.ok("ADD", "a"));
  // Written in place, which changes nothing that the index goes by: only reading all files shows
  // it.
  write_file(namespaces.folder() + "/net/10.1.0.2", "b\r\neth0");
  REQUIRE_FALSE(network.run("CHECK", "b").ok());
  const char* boot_id = "/proc/sys/kernel/random/boot_id";
  const std::string another = namespaces.folder() + "/boot_id";
  write_file(another, "00000000-1111-2222-3333-444444444444\n");
  REQUIRE(::mount(another.c_str(), boot_id, nullptr, MS_BIND, nullptr) == 0);
  CHECK(network.ok("CHECK", "b"));
  REQUIRE(::umount(boot_id) == 0);
}

}  // namespace
}  // namespace cni::test
