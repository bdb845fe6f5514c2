#include "test/bench/leases.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <list>
#include <stdexcept>
#include <string>
#include <thread>

#include "pkg/netlink/addr.hpp"
#include "pkg/netlink/link.hpp"
#include "pkg/netlink/new_link.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "test/bench/attachment.hpp"

namespace bench {
namespace {

namespace netlink = cni::netlink;

constexpr const char* kBridge = "bench0";

// A program on a node's host that ends with this object. What it says is thrown away.
class Service {
 public:
  Service(const Node& node, std::vector<std::string> arguments) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      node.host().enter();
      const int nowhere = ::open("/dev/null", O_RDWR);
      for (int fd = 0; fd <= 2; ++fd) (void)::dup2(nowhere, fd);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    if (pid_ < 0) throw std::runtime_error("no process for " + arguments[0]);
  }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;
  ~Service() {
    (void)::kill(pid_, SIGTERM);
    (void)::waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_ = -1;
};

void make_bridge(const Node& node) {
  auto host = netlink::Socket::open_in(node.host().netns());
  (void)netlink::ensure_bridge(host, {.name = kBridge, .mac = cni::Mac::random()});
  const auto bridge = netlink::get_link(host, kBridge).index;
  netlink::add_address(host, bridge, cni::Prefix::parse("10.93.0.1/16").value(),
                       netlink::Dad::kSkip);
  netlink::set_up(host, bridge);
}

bool listens(const std::string& path) {
  const cni::os::Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

void wait_for(const std::string& what, const std::function<bool()>& is_there) {
  constexpr int kTries = 500;
  for (int i = 0; i < kTries; ++i) {
    if (is_there()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  throw std::runtime_error(what + " does not start");
}

std::string socket_path(const std::string& folder) { return folder + "/dhcp.sock"; }

}  // namespace

void measure_leases(const Options& options, std::vector<Row>& rows) {
  constexpr const char* kServer = "/usr/sbin/dnsmasq";
  if (::access(kServer, X_OK) != 0) {
    (void)std::fputs("bench: no dnsmasq, so that no leases are measured\n", stderr);
    return;
  }
  std::list<Service> services;
  const auto folder_of = [&](bool is_ours) {
    return options.state + (is_ours ? "/ours" : "/reference");
  };
  const auto prepare = [&](const Node& node, bool is_ours) {
    const std::string folder = folder_of(is_ours);
    cni::os::make_directories(folder, 0700);
    make_bridge(node);
    const std::string pid_file = folder + "/dnsmasq.pid";
    services.emplace_back(
        node, std::vector<std::string>{kServer, "--keep-in-foreground", "--conf-file=/dev/null",
                                       "--port=0", cni::cat("--interface=", kBridge), "--user=root",
                                       "--no-ping", "--dhcp-authoritative",
                                       "--dhcp-range=10.93.1.0,10.93.250.0,255.255.0.0,1h",
                                       cni::cat("--dhcp-leasefile=", folder, "/leases"),
                                       cni::cat("--pid-file=", pid_file)});
    const std::string socket = socket_path(folder);
    std::vector<std::string> daemon{node.plugin_folder() + "/dhcp", "daemon", "-socketpath",
                                    socket};
    if (is_ours) daemon.insert(daemon.end(), {"-statedir", folder + "/dhcp"});
    services.emplace_back(node, std::move(daemon));
    wait_for("dnsmasq", [&] { return cni::os::read_file(pid_file).has_value(); });
    wait_for("the dhcp daemon", [&] { return listens(socket); });
  };
  const auto config = [](const std::string& state) {
    return cni::cat(R"({"cniVersion": "1.0.0", "name": "leases", "type": "bridge", "bridge": ")",
                    kBridge, R"(", "ipam": {"type": "dhcp", "daemonSocketPath": ")",
                    socket_path(state), R"("}})");
  };
  const auto medians =
      attach_and_detach(options, {.plugin = "bridge", .config = config, .prepare = prepare});
  push_attachment(rows, "bridge + dhcp, with the daemon and dnsmasq,", medians, 0.7, std::nullopt);
}

}  // namespace bench
