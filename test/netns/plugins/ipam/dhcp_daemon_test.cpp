#include "plugins/ipam/dhcp/daemon/daemon.hpp"

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "pkg/os/file.hpp"
#include "plugins/ipam/dhcp/exchange.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/netns_fixture.hpp"

namespace cni::dhcp {
namespace {

using namespace std::chrono_literals;

os::Fd connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(path.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, path.data(), path.size());
  os::Fd out(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{5, 0};
  (void)::setsockopt(out.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (::connect(out.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return {};
  }
  return out;
}

void send_text(const os::Fd& to, std::string_view text) {
  (void)!::send(to.get(), text.data(), text.size(), MSG_NOSIGNAL);
}

// What arrives until the other end closes.
std::string receive_text(const os::Fd& from) {
  std::string out;
  char buffer[4096];
  for (;;) {
    const ssize_t count = ::recv(from.get(), buffer, sizeof buffer, 0);
    if (count <= 0) return out;
    out.append(buffer, static_cast<std::size_t>(count));
  }
}

// A daemon in a process of its own, as main() runs it.
class Daemon {
 public:
  explicit Daemon(const std::string& folder, std::vector<std::string> more = {})
      : socket_(folder + "/run/dhcp.sock"), log_(folder + "/log") {
    std::vector<std::string> words{"dhcp", "daemon", "-socketpath=" + socket_,
                                   "-statedir=" + folder + "/state"};
    words.insert(words.end(), more.begin(), more.end());
    pid_ = ::fork();
    if (pid_ != 0) return;
    (void)!::freopen(log_.c_str(), "a", stderr);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    ::_exit(run(static_cast<int>(argv.size()), argv.data()));
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon() {
    if (pid_ > 0) (void)end(SIGKILL);
  }

  const std::string& socket() const { return socket_; }
  std::string log() const { return os::read_file(log_).value_or(""); }
  pid_t pid() const { return pid_; }

  void await() const {
    for (int i = 0; i < 500; ++i) {
      if (connect_to(socket_)) return;
      std::this_thread::sleep_for(10ms);
    }
    FAIL("the daemon does not listen: " + log());
  }
  // Its exit status.
  int end(int signal) {
    if (signal != 0) (void)::kill(pid_, signal);
    int status = 0;
    REQUIRE(::waitpid(pid_, &status, 0) == pid_);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::size_t descriptors() const {
    return os::list_directory("/proc/" + std::to_string(pid_) + "/fd").size();
  }
  long processor_ticks() const {
    const std::string text = os::read_file("/proc/" + std::to_string(pid_) + "/stat").value_or("");
    long user = 0;
    long system = 0;
    REQUIRE(std::sscanf(text.c_str() + text.rfind(')'),
                        ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user,
                        &system) == 2);
    return user + system;
  }
  long resident_pages() const {
    long size = 0;
    long resident = 0;
    const std::string text = os::read_file("/proc/" + std::to_string(pid_) + "/statm").value_or("");
    REQUIRE(std::sscanf(text.c_str(), "%ld %ld", &size, &resident) == 2);
    return resident;
  }
  Answer ask(const Call& call) const {
    const os::Fd connection = connect_to(socket_);
    REQUIRE(connection);
    const std::string text = to_text(call);
    send_text(connection, length_prefix(text.size()) + text);
    const std::string answer = receive_text(connection);
    REQUIRE(answer.size() > 4);
    REQUIRE(read_length_prefix(answer.substr(0, 4)) == answer.size() - 4);
    return read_answer(answer.substr(4));
  }

 private:
  std::string socket_;
  std::string log_;
  pid_t pid_ = -1;
};

TEST_CASE("the dhcp daemon answers and cleans up on SIGTERM", "[netns]") {
  const test::Namespaces host;
  const std::string pidfile = host.folder() + "/pid";
  Daemon daemon(host.folder(), {"-pidfile", pidfile});
  daemon.await();
  CHECK_FALSE(daemon.ask({}).error);
  struct stat status {};
  REQUIRE(::stat(daemon.socket().c_str(), &status) == 0);
  CHECK((status.st_mode & 0777U) == 0600);
  REQUIRE(::stat((host.folder() + "/run").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777U) == 0700);
  REQUIRE(::stat(pidfile.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777U) == 0644);
  CHECK(os::read_file(pidfile) == std::to_string(daemon.pid()));
  CHECK(daemon.end(SIGTERM) == 0);
  CHECK(::lstat(daemon.socket().c_str(), &status) != 0);
  CHECK(::lstat(pidfile.c_str(), &status) != 0);
}

TEST_CASE("a second dhcp daemon is refused and leaves the first one alone", "[netns]") {
  const test::Namespaces host;
  const Daemon first(host.folder());
  first.await();
  Daemon second(host.folder());
  CHECK(second.end(0) == 1);
  CHECK_THAT(second.log(),
             Catch::Matchers::Contains("a dhcp daemon already listens on " + first.socket()));
  CHECK_FALSE(first.ask({}).error);
}

TEST_CASE("the dhcp daemon takes the place of one that was killed", "[netns]") {
  const test::Namespaces host;
  Daemon first(host.folder());
  first.await();
  (void)first.end(SIGKILL);
  REQUIRE_FALSE(connect_to(first.socket()));
  const Daemon second(host.folder());
  second.await();
  CHECK_FALSE(second.ask({}).error);
}

TEST_CASE("the dhcp daemon does not remove what is no socket", "[netns]") {
  const test::Namespaces host;
  os::make_directories(host.folder() + "/run");
  test::write_file(host.folder() + "/run/dhcp.sock", "mine");
  Daemon daemon(host.folder());
  CHECK(daemon.end(0) == 1);
  CHECK_THAT(daemon.log(), Catch::Matchers::Contains("is no socket"));
  CHECK(test::file_text(host.folder() + "/run/dhcp.sock") == "mine");
}

TEST_CASE("wrong flags of the dhcp daemon end it with status 2", "[netns]") {
  const test::Namespaces host;
  Daemon daemon(host.folder(), {"-timeout=soon"});
  CHECK(daemon.end(0) == 2);
  CHECK_THAT(daemon.log(), Catch::Matchers::Contains("invalid value \"soon\" for flag -timeout"));
  Daemon relative(host.folder(), {"-pidfile=pid"});
  CHECK(relative.end(0) == 1);
  CHECK_THAT(relative.log(),
             Catch::Matchers::Contains("Error writing pidfile \"pid\": path not absolute"));
}

TEST_CASE("garbage and half requests do not disturb the dhcp daemon", "[netns]") {
  const test::Namespaces host;
  const Daemon daemon(host.folder());
  daemon.await();
  for (const std::string& text :
       {std::string("CONNECT /_goRPC_ HTTP/1.0\n\n"), std::string(4, '\0'),
        std::string("\xff\xff\xff\xff"), std::string("\0\x10\0\1", 4)}) {
    const os::Fd client = connect_to(daemon.socket());
    send_text(client, text);
    CHECK(receive_text(client).empty());
  }
  {
    const os::Fd client = connect_to(daemon.socket());
    send_text(client, length_prefix(4) + "nope");
    const std::string answer = receive_text(client);
    REQUIRE(answer.size() > 4);
    CHECK(read_answer(answer.substr(4)).error);
  }
  for (int i = 0; i < 20; ++i) {
    send_text(connect_to(daemon.socket()), length_prefix(100) + "half");
    const os::Fd closed_half = connect_to(daemon.socket());
    send_text(closed_half, "\0");
    (void)::shutdown(closed_half.get(), SHUT_WR);
    CHECK(receive_text(closed_half).empty());
  }
  CHECK_FALSE(daemon.ask({}).error);
  const long before = daemon.processor_ticks();
  std::this_thread::sleep_for(500ms);
  CHECK(daemon.processor_ticks() - before <= 2);
}

TEST_CASE("a thousand idle clients do not keep the dhcp daemon from answering", "[netns]") {
  const test::Namespaces host;
  const Daemon daemon(host.folder());
  daemon.await();
  std::vector<os::Fd> idle;
  for (int i = 0; i < 1000; ++i) idle.push_back(connect_to(daemon.socket()));
  CHECK(idle.back());
  CHECK_FALSE(daemon.ask({}).error);
  CHECK(daemon.descriptors() > 1000);
}

TEST_CASE("ten thousand calls leave nothing behind in the dhcp daemon", "[netns]") {
  const test::Namespaces host;
  const Daemon daemon(host.folder());
  daemon.await();
  for (int i = 0; i < 100; ++i) (void)daemon.ask({});
  const std::size_t descriptors = daemon.descriptors();
  const long pages = daemon.resident_pages();
  for (int i = 0; i < 10'000; ++i) (void)daemon.ask({});
  CHECK(daemon.descriptors() == descriptors);
  CHECK(daemon.resident_pages() <= pages + 64);
}

TEST_CASE("the dhcp daemon says what it does not have", "[netns]") {
  const test::Namespaces host;
  const Daemon daemon(host.folder());
  daemon.await();
  Call call{Verb::kLook, {}, {}};
  call.lease.key = {"c1", "net", "eth0"};
  const Answer none = daemon.ask(call);
  REQUIRE(none.error);
  CHECK(none.error->code == Code::kCheckFailed);
  call.verb = Verb::kRelease;
  CHECK_FALSE(daemon.ask(call).error);
  call.verb = Verb::kCollect;
  CHECK_FALSE(daemon.ask(call).error);
  call.verb = Verb::kAllocate;
  call.lease.netns = "/run/netns/none";
  call.lease.request = {1, 3};
  const Answer refused = daemon.ask(call);
  REQUIRE(refused.error);
  CHECK(refused.error->code == Code::kInvalidNetns);
}

Call allocation(const std::string& netns) {
  Call call{Verb::kAllocate, {}, {}};
  call.lease.key = {"c1", "net", "eth0"};
  call.lease.netns = netns;
  call.lease.request = {1, 3};
  return call;
}

void connect_container() {
  for (const char* arguments : {"add host0 type veth peer name eth0 netns c1", "set host0 up"}) {
    (void)test::run_ok({"sh", "-c", std::string("ip link ") + arguments});
  }
}

// dnsmasq on the host's end of the veth pair.
class Server {
 public:
  explicit Server(const std::string& folder) : leases_(folder + "/leases") {
    const std::string program = test::require_program("dnsmasq");
    (void)test::run_ok({"ip", "address", "add", "192.0.2.1/24", "dev", "host0"});
    const std::string lease_file = "--dhcp-leasefile=" + leases_;
    pid_ = ::fork();
    if (pid_ != 0) return;
    (void)::execl(program.c_str(), "dnsmasq", "-k", "-C", "/dev/null", "-p", "0", "-u", "root",
                  "-x", "", "-i", "host0", "--bind-interfaces",
                  "--dhcp-range=192.0.2.10,192.0.2.20,2m", "--no-ping", "--dhcp-authoritative",
                  lease_file.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    (void)::kill(pid_, SIGKILL);
    (void)::waitpid(pid_, nullptr, 0);
  }
  std::string leases() const { return os::read_file(leases_).value_or(""); }

 private:
  std::string leases_;
  pid_t pid_ = -1;
};

TEST_CASE("a dhcp lease outlives a daemon that is killed and ends with its release", "[netns]") {
  test::Namespaces host;
  const std::string netns = host.container("c1");
  connect_container();
  const Server server(host.folder());
  Daemon first(host.folder(), {"-timeout=500ms"});
  first.await();
  const Answer granted = first.ask(allocation(netns));
  INFO(first.log());
  REQUIRE_FALSE(granted.error);
  REQUIRE(granted.lease.ipv4);
  CHECK(granted.lease.ipv4->server.to_string() == "192.0.2.1");
  CHECK(first.ask(allocation(netns)).lease == granted.lease);
  CHECK(os::list_directory(host.folder() + "/state").size() == 1);
  CHECK_THAT(server.leases(),
             Catch::Matchers::Contains(granted.lease.ipv4->address.address.to_string()));
  (void)first.end(SIGKILL);

  const Daemon second(host.folder());
  second.await();
  Call look = allocation(netns);
  look.verb = Verb::kLook;
  CHECK(second.ask(look).lease == granted.lease);
  const std::size_t descriptors = second.descriptors();
  Call collect{Verb::kCollect, {}, {{"c1", "eth0"}}};
  collect.lease.key.network = "net";
  CHECK_FALSE(second.ask(collect).error);
  CHECK_FALSE(second.ask(look).error);  // a valid attachment keeps its lease
  collect.valid.clear();
  CHECK_FALSE(second.ask(collect).error);
  CHECK(second.ask(look).error);
  CHECK(second.descriptors() == descriptors);
  CHECK(os::list_directory(host.folder() + "/state").empty());
  for (int i = 0; i < 200 && !server.leases().empty(); ++i) std::this_thread::sleep_for(10ms);
  CHECK(server.leases().empty());
}

TEST_CASE("the dhcp daemon says so when no server answers and forgets the attempt", "[netns]") {
  test::Namespaces host;
  const std::string netns = host.container("c1");
  connect_container();
  const Daemon daemon(host.folder(), {"-timeout=100ms", "-resendtimeout=600ms"});
  daemon.await();
  const std::size_t descriptors = daemon.descriptors();
  const Answer answer = daemon.ask(allocation(netns));
  REQUIRE(answer.error);
  CHECK(answer.error->code == Code::kTryAgainLater);
  CHECK_THAT(answer.error->msg, Catch::Matchers::StartsWith("no more tries"));
  CHECK_FALSE(daemon.ask({}).error);
  CHECK(daemon.descriptors() == descriptors);
  CHECK(os::list_directory(host.folder() + "/state").empty());
}

TEST_CASE("the dhcp daemon ends an attempt that nobody waits for any more", "[netns]") {
  test::Namespaces host;
  const std::string netns = host.container("c1");
  connect_container();
  const Daemon daemon(host.folder());
  daemon.await();
  const std::size_t descriptors = daemon.descriptors();
  {
    const os::Fd client = connect_to(daemon.socket());
    const std::string text = to_text(allocation(netns));
    send_text(client, length_prefix(text.size()) + text);
    for (int i = 0; i < 500 && daemon.descriptors() < descriptors + 2; ++i) {
      std::this_thread::sleep_for(10ms);
    }
    CHECK(daemon.descriptors() >= descriptors + 2);  // the client, and what listens for servers
  }
  for (int i = 0; i < 500 && daemon.descriptors() != descriptors; ++i) {
    std::this_thread::sleep_for(10ms);
  }
  CHECK(daemon.descriptors() == descriptors);
  CHECK_THAT(daemon.log(), Catch::Matchers::Contains("nobody waits for the lease any more"));
}

// As systemd runs it: LISTEN_PID and LISTEN_FDS, and descriptor 3.
int serve_activated(const std::string& folder, const std::string& count, bool is_listening) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  (void)!::freopen((folder + "/log").c_str(), "a", stderr);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, (folder + "/passed").c_str(), folder.size() + 7);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  (void)::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (is_listening) (void)::listen(fd, 5);
  if (fd != 3) (void)::dup2(fd, 3);
  Flags flags;
  flags.socketpath = folder + "/own";
  flags.statedir = folder + "/state";
  try {
    serve(flags, {"LISTEN_PID=" + std::to_string(::getpid()), "LISTEN_FDS=" + count});
  } catch (const Error& error) {
    (void)!::write(STDERR_FILENO, error.what(), std::strlen(error.what()));
    ::_exit(1);
  }
  ::_exit(0);
}

int status_of(pid_t pid) {
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST_CASE("the dhcp daemon takes the one socket that systemd passes and leaves its file",
          "[netns]") {
  const test::Namespaces host;
  const std::string passed = host.folder() + "/passed";
  const pid_t pid = serve_activated(host.folder(), "1", true);
  os::Fd client;
  for (int i = 0; i < 500 && !client; ++i) {
    client = connect_to(passed);
    if (!client) std::this_thread::sleep_for(10ms);
  }
  REQUIRE(client);
  const std::string text = to_text(Call{});
  send_text(client, length_prefix(text.size()) + text);
  CHECK(receive_text(client).size() > 4);
  (void)::kill(pid, SIGTERM);
  CHECK(status_of(pid) == 0);
  struct stat status {};
  CHECK(::lstat(passed.c_str(), &status) == 0);
  CHECK(::lstat((host.folder() + "/own").c_str(), &status) != 0);
}

TEST_CASE("the dhcp daemon refuses more than one passed socket and one that does not listen",
          "[netns]") {
  const test::Namespaces host;
  CHECK(status_of(serve_activated(host.folder(), "2", true)) == 1);
  CHECK_THAT(test::file_text(host.folder() + "/log"),
             Catch::Matchers::Contains("Too many (2) FDs passed through socket activation"));
  (void)os::remove_file(host.folder() + "/passed");
  CHECK(status_of(serve_activated(host.folder(), "1", false)) == 1);
  CHECK_THAT(test::file_text(host.folder() + "/log"),
             Catch::Matchers::Contains("no listening unix stream socket"));
}

}  // namespace
}  // namespace cni::dhcp
