#include "test/netns/plugins/ipam/dhcp_daemon_process.hpp"

namespace cni::dhcp {
namespace {

using namespace std::chrono_literals;

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
  CHECK(server.leases() == "");
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

}  // namespace
}  // namespace cni::dhcp
