#include "plugins/ipam/dhcp/client.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <chrono>
#include <functional>
#include <thread>

#include "pkg/os/fd.hpp"
#include "test/support/catch.hpp"
#include "test/support/temporary_folder.hpp"

namespace cni::dhcp {
namespace {

using Handler = std::function<void(int fd)>;

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(path.size() < sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  return address;
}

os::Fd listen_at(const std::string& path, int backlog) {
  const sockaddr_un address = address_of(path);
  os::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(fd.get(), backlog) == 0);
  return fd;
}

// Serves one connection.
class Server {
 public:
  Server(const std::string& path, Handler handler)
      : listener_(listen_at(path, 4)), thread_([this, handler = std::move(handler)] {
          pollfd poll{.fd = listener_.get(), .events = POLLIN, .revents = 0};
          if (::poll(&poll, 1, 10'000) != 1) return;
          const os::Fd fd(::accept(listener_.get(), nullptr, nullptr));
          handler(fd.get());
        }) {}
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() { thread_.join(); }

 private:
  os::Fd listener_;
  std::thread thread_;
};

std::string read_exactly(int fd, std::size_t size) {
  std::string out(size, '\0');
  const ssize_t got = ::recv(fd, out.data(), size, MSG_WAITALL);
  out.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return out;
}

Call read_whole_call(int fd) {
  return read_call(read_exactly(fd, read_length_prefix(read_exactly(fd, 4))));
}

void write_to(int fd, std::string_view text) {
  (void)::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
}

void answer_with(int fd, std::string_view text) {
  (void)read_whole_call(fd);
  write_to(fd, length_prefix(text.size()) + std::string(text));
}

Call look_call() {
  Call call;
  call.verb = Verb::kLook;
  call.lease.key = {.container_id = "c1", .network = "net", .ifname = "eth0"};
  return call;
}

Lease some_lease() {
  Lease4 lease;
  lease.address = Prefix::parse("10.1.0.7/24").value();
  lease.server = Ip::parse("10.1.0.2").value();
  return {lease, std::nullopt};
}

Error failure(const std::string& path, std::chrono::seconds patience = std::chrono::seconds(10)) {
  try {
    (void)ask_daemon(path, look_call(), patience);
  } catch (const Error& error) {
    return error;
  }
  FAIL("it was answered");
  return {Code::kInternal, ""};
}

Error failure_with(const Handler& handler,
                   std::chrono::seconds patience = std::chrono::seconds(10)) {
  const test::TemporaryFolder folder;
  const Server server(folder / "s", handler);
  return failure(folder / "s", patience);
}

void check_text(const Error& error, Code code, std::string_view start, std::string_view part) {
  INFO(error.what());
  CHECK(error.code == code);
  CHECK(error.msg.starts_with(start));
  CHECK(std::string(error.what()).find(part) != std::string::npos);
}

TEST_CASE("the dhcp client gets the lease that it asked for") {
  const test::TemporaryFolder folder;
  Call received;
  Lease lease;
  {
    const Server server(folder / "s", [&](int fd) {
      received = read_whole_call(fd);
      const std::string text = to_text(Answer{.error = std::nullopt, .lease = some_lease()});
      const std::string message = length_prefix(text.size()) + text;
      // In pieces, as a stream may deliver it.
      write_to(fd, message.substr(0, 2));
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      write_to(fd, message.substr(2, 9));
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      write_to(fd, message.substr(11));
    });
    lease = ask_daemon(folder / "s", look_call(), std::chrono::seconds(10)).lease;
  }
  CHECK(received.verb == Verb::kLook);
  CHECK(received.lease.key == look_call().lease.key);
  CHECK(lease == some_lease());
}

TEST_CASE("the dhcp client passes on the daemon's error with its code") {
  const Error error = failure_with([](int fd) {
    answer_with(
        fd, to_text(Answer{.error = Error(Code::kCheckFailed, "no lease", "more"), .lease = {}}));
  });
  CHECK(error.code == Code::kCheckFailed);
  CHECK(error.msg == "error calling DHCP.Look: no lease");
  CHECK(error.details == "more");
}

TEST_CASE("the dhcp client says how to start a daemon that does not run") {
  const test::TemporaryFolder folder;
  const auto check = [&](const std::string& path, std::string_view reason) {
    CHECK_THROWS_AS(ask_daemon(path, look_call(), std::chrono::seconds(1)), NoDaemon);
    const Error error = failure(path);
    check_text(error, Code::kPluginNotAvailable,
               cat("error dialing DHCP daemon: connect to ", path, ": ", reason), "dhcp daemon");
  };
  check(folder / "absent", "no such file or directory");
  (void)listen_at(folder / "left", 1);
  check(folder / "left", "connection refused");
  check(folder / std::string(200, 'x'), "file name too long");
}

TEST_CASE("the dhcp client notices a connection that ends early") {
  check_text(failure_with([](int /*fd*/) {}), Code::kIoFailure, "error calling DHCP.Look: ", "");
  check_text(failure_with([](int fd) { (void)read_whole_call(fd); }), Code::kIoFailure,
             "error calling DHCP.Look: ", "closed the connection");
  check_text(failure_with([](int fd) {
               (void)read_whole_call(fd);
               write_to(fd, length_prefix(100) + "{");
             }),
             Code::kIoFailure, "error calling DHCP.Look: ", "closed the connection");
}

TEST_CASE("the dhcp client refuses answers that are none") {
  for (const std::string text : {"x", "[]", "{}", "{\"version\":99,\"lease\":{}}"}) {
    INFO(text);
    check_text(failure_with([&](int fd) { answer_with(fd, text); }), Code::kDecodingFailure,
               "error calling DHCP.Look: ", "");
  }
  check_text(failure_with([](int fd) { answer_with(fd, R"({"version":99,"lease":{}})"); }),
             Code::kDecodingFailure, "error calling DHCP.Look: ", "99");
}

TEST_CASE("the dhcp client reads no answer that is too long") {
  const auto answer_of_size = [](std::string prefix) {
    return [prefix = std::move(prefix)](int fd) {
      (void)read_whole_call(fd);
      write_to(fd, prefix);
      (void)read_exactly(fd, 1);  // until the client has gone
    };
  };
  check_text(failure_with(answer_of_size("\xff\xff\xff\xff")), Code::kDecodingFailure,
             "error calling DHCP.Look: ", "4294967295");
  check_text(failure_with(answer_of_size(std::string(4, '\0'))), Code::kDecodingFailure,
             "error calling DHCP.Look: ", "0");
}

TEST_CASE("the dhcp client does not wait for ever") {
  const auto silent = [](int fd) {
    (void)read_whole_call(fd);
    (void)read_exactly(fd, 1);
  };
  // Each octet is progress, but the whole has one deadline.
  const auto slow = [](int fd) {
    (void)read_whole_call(fd);
    write_to(fd, length_prefix(100));
    for (int i = 0; i < 30; ++i) {
      write_to(fd, "{");
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  };
  for (const Handler& handler : {Handler(silent), Handler(slow)}) {
    const auto start = std::chrono::steady_clock::now();
    const test::TemporaryFolder folder;
    const Server server(folder / "s", handler);
    const Error error = failure(folder / "s", std::chrono::seconds(1));
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::milliseconds(2500));
    check_text(error, Code::kTryAgainLater, "error calling DHCP.Look: ", "1 s");
  }
}

TEST_CASE("the dhcp client does not wait for ever for a daemon that accepts nothing") {
  const test::TemporaryFolder folder;
  const std::string path = folder / "s";
  const os::Fd listener = listen_at(path, 0);
  const sockaddr_un address = address_of(path);
  std::vector<os::Fd> waiting;
  for (int i = 0; i < 4; ++i) {
    waiting.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    (void)::connect(waiting.back().get(), reinterpret_cast<const sockaddr*>(&address),
                    sizeof address);
  }
  check_text(failure(path, std::chrono::seconds(1)), Code::kTryAgainLater,
             "error dialing DHCP daemon: ", "1 s");
}

}  // namespace
}  // namespace cni::dhcp
