#include "test/support/dhcp_server.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/netns_fixture.hpp"
#include "test/support/run_plugin.hpp"

namespace cni::test {
namespace {

[[noreturn]] void run_program(const std::vector<std::string>& argv, const std::string& output) {
  const int fd = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  (void)::dup2(fd, 1);
  (void)::dup2(fd, 2);
  std::vector<char*> pointers;
  for (const std::string& word : argv) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  (void)::execv(pointers[0], pointers.data());
  ::_exit(127);
}

std::vector<std::string> dnsmasq_command(const std::string& folder, const std::string& link,
                                         const std::vector<std::string>& arguments) {
  std::vector<std::string> argv = {require_program("dnsmasq"),
                                   "--keep-in-foreground",
                                   "--conf-file=/dev/null",
                                   "--pid-file=",
                                   "--user=root",
                                   "--port=0",
                                   "--no-ping",
                                   "--dhcp-authoritative",
                                   "--log-dhcp",
                                   "--log-facility=-",
                                   "--bind-dynamic",
                                   cat("--interface=", link),
                                   cat("--dhcp-leasefile=", folder, "/leases")};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return argv;
}

}  // namespace

BackgroundProgram::BackgroundProgram(const std::vector<std::string>& argv, std::string output_path)
    : output_path_(std::move(output_path)) {
  write_file(output_path_, "");
  pid_ = ::fork();
  REQUIRE(pid_ >= 0);
  if (pid_ == 0) run_program(argv, output_path_);
}

BackgroundProgram::~BackgroundProgram() {
  if (pid_ > 0) end(SIGTERM);
}

void BackgroundProgram::end(int signal) {
  (void)::kill(pid_, signal);
  (void)::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

Dnsmasq::Dnsmasq(const std::string& link, const std::vector<std::string>& arguments)
    : program_(dnsmasq_command(folder_.path(), link, arguments), folder_ / "log") {
  await_text([this] { return log(); }, "DHCP, sockets bound");
}

std::string Dnsmasq::leases() const {
  const std::string path = folder_ / "leases";
  return ::access(path.c_str(), F_OK) == 0 ? file_text(path) : "";
}

DhcpDaemon::DhcpDaemon(std::vector<std::string> flags)
    : socket_path_(folder_ / "dhcp.sock"), flags_(std::move(flags)) {
  start();
}

void DhcpDaemon::start() {
  std::vector<std::string> argv = {executable("dhcp"), "daemon",    "-socketpath",
                                   socket_path_,       "-statedir", state_folder()};
  argv.insert(argv.end(), flags_.begin(), flags_.end());
  program_ = std::make_unique<BackgroundProgram>(std::move(argv), folder_ / "log");
  // Only its answer says that it listens: what a killed one left is a socket too.
  Call status;
  status.command = "STATUS";
  status.input = cat(R"({"cniVersion":"1.1.0","name":"n","type":"dhcp","ipam":{"type":"dhcp",)",
                     R"("daemonSocketPath":")", socket_path_, R"("}})");
  await_text([&] { return call("dhcp", status).ok() ? "ready" : log(); }, "ready");
}

void DhcpDaemon::restart(int signal) {
  program_->end(signal);
  start();
}

void DhcpDaemon::stop() { program_->end(SIGTERM); }

void await_text(const std::function<std::string()>& fn, const std::string& part) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  std::string text;
  while (std::chrono::steady_clock::now() < deadline) {
    text = fn();
    if (text.find(part) != std::string::npos) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  FAIL("no \"" << part << "\" in: " << text);
}

}  // namespace cni::test
