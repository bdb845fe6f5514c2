#include "test/netns/plugins/ipam/dhcp_daemon_process.hpp"

namespace cni::dhcp {
namespace {

using namespace std::chrono_literals;

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
  [[maybe_unused]] const long pages = daemon.resident_pages();
  for (int i = 0; i < 10'000; ++i) (void)daemon.ask({});
  CHECK(daemon.descriptors() == descriptors);
#if !defined(__SANITIZE_ADDRESS__)  // which keeps what was freed for a while
  CHECK(daemon.resident_pages() <= pages + 64);
#endif
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
