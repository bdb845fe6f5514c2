// Programs at both ends of tap devices: real frames through what the plugin has made.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "pkg/os/fd.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/plugin_node.hpp"

using namespace cni::test;
using cni::os::Fd;

namespace {

// The file of the device eth0, opened as another program would; errno in `error` if it is refused.
Fd open_tap(const std::string& container, int& error) {
  return cni::ns::Netns::open("/run/netns/" + container).run([&] {
    Fd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    ifreq request{};
    std::string("eth0").copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    error = 0;
    if (!fd) {
      error = errno;
    } else if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) {
      error = errno;
      fd.reset();
    }
    return fd;
  });
}

Fd open_tap(const std::string& container) {
  int error = 0;
  Fd fd = open_tap(container, error);
  REQUIRE(error == 0);
  return fd;
}

// A wire between two devices: copies each frame to the other side.
class Wire {
 public:
  Wire(Fd one, Fd other) : ends_{std::move(one), std::move(other)}, copier_([this] { copy(); }) {}
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  ~Wire() {
    stop_ = true;
    copier_.join();
  }

 private:
  void copy() {
    char frame[2048];
    while (!stop_) {
      pollfd polled[2] = {{ends_[0].get(), POLLIN, 0}, {ends_[1].get(), POLLIN, 0}};
      (void)::poll(polled, 2, 20);
      for (int side = 0; side < 2; ++side) {
        const ssize_t size = ::read(ends_[side].get(), frame, sizeof frame);
        if (size > 0) (void)!::write(ends_[1 - side].get(), frame, static_cast<std::size_t>(size));
      }
    }
  }

  Fd ends_[2];
  std::atomic<bool> stop_ = false;
  std::thread copier_;
};

class TwoTaps : public PluginNode {
 public:
  explicit TwoTaps(const json& more = json::object()) {
    for (const char* name : {"c1", "c2"}) {
      (void)spaces.container(name);
      json config = {{"type", "tap"},
                     {"ipam", {{"type", "host-local"}, {"subnet", "10.33.0.0/16"}}}};
      config.update(more);
      (void)add(config, name);
    }
  }
};

// Runs fn on a thread with another user and group, and no privileges.
int as_user(unsigned user, unsigned group, const std::function<int()>& fn) {
  int outcome = 0;
  std::thread thread([&] {
    // The C library would change all threads.
    const bool dropped = ::syscall(SYS_setgroups, 0, nullptr) == 0 &&
                         ::syscall(SYS_setresgid, group, group, group) == 0 &&
                         ::syscall(SYS_setresuid, user, user, user) == 0;
    outcome = dropped ? fn() : -1;
  });
  thread.join();
  return outcome;
}

}  // namespace

TEST_CASE("two containers with tap devices reach each other over a wire between them", "[netns]") {
  require_kind("tap");
  TwoTaps node;
  CHECK_FALSE(find_link_json("c1", "eth0")->at("operstate") == "UP");
  const Wire wire(open_tap("c1"), open_tap("c2"));
  CHECK(pings("c1", "10.33.0.3"));
  CHECK(pings("c2", "10.33.0.2"));
  const auto one = cni::ns::Netns::open("/run/netns/c1");
  const auto two = cni::ns::Netns::open("/run/netns/c2");
  CHECK(tcp_client_seen(one, two, "10.33.0.3") == "10.33.0.2");
}

TEST_CASE("a guest behind a tap device in a bridge of the container reaches what is on the bridge",
          "[netns]") {
  require_kind("tap");
  PluginNode node;
  (void)node.spaces.container("c1");
  (void)node.spaces.container("guest");
  (void)ip({"-n", "c1", "link", "add", "br0", "type", "bridge"});
  (void)ip({"-n", "c1", "address", "add", "10.34.0.1/24", "dev", "br0"});
  (void)ip({"-n", "c1", "link", "set", "br0", "up"});
  (void)node.add({{"type", "tap"}, {"bridge", "br0"}});
  // The guest's network card is a tap device too.
  (void)node.add(
      {{"type", "tap"},
       {"ipam", {{"type", "static"}, {"addresses", json::array({{{"address", "10.34.0.2/24"}}})}}}},
      "guest");
  const Wire wire(open_tap("c1"), open_tap("guest"));
  CHECK(pings("guest", "10.34.0.1"));
}

TEST_CASE("the owner and the group of a tap device may open it and nobody else", "[netns]") {
  require_kind("tap");
  require_root_or_skip();
  struct Row {
    json config;
    unsigned user, group;
    bool allowed;
  };
  const Row row =
      GENERATE(Row{{{"owner", 4321}}, 4321, 9, true}, Row{{{"owner", 4321}}, 4322, 9, false},
               Row{{{"group", 4321}}, 9, 4321, true}, Row{{{"group", 4321}}, 9, 4322, false},
               Row{json::object(), 9, 9, true});
  PluginNode node;
  (void)node.spaces.container("c1");
  json config = {{"type", "tap"}};
  config.update(row.config);
  INFO(config.dump());
  (void)node.add(config);
  // Everybody may open the control file: the device itself decides. The machine's is left alone.
  REQUIRE(::mount("tmpfs", "/dev/net", "tmpfs", 0, "mode=0755") == 0);
  REQUIRE(::mknod("/dev/net/tun", S_IFCHR, makedev(10, 200)) == 0);
  REQUIRE(::chmod("/dev/net/tun", 0666) == 0);
  const auto container = cni::ns::Netns::open("/run/netns/c1");
  const int error = container.run([&] {
    return as_user(row.user, row.group, [] {
      const Fd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
      if (!fd) return errno;
      ifreq request{};
      std::string("eth0").copy(request.ifr_name, IFNAMSIZ - 1);
      request.ifr_flags = IFF_TAP | IFF_NO_PI;
      return ::ioctl(fd.get(), TUNSETIFF, &request) == 0 ? 0 : errno;
    });
  });
  REQUIRE(::umount("/dev/net") == 0);
  CHECK(error == (row.allowed ? 0 : EPERM));
}

TEST_CASE("tap says what is wrong with its control file", "[netns]") {
  require_kind("tap");
  require_root_or_skip();
  PluginNode node;
  (void)node.spaces.container("c1");
  const json config = {{"type", "tap"}};
  const auto both = [&](const std::string& reason, const std::string& detail) {
    const PluginRun run = node.run("ADD", config);
    INFO(run.describe());
    check_error(run, 107, "failed to create tap: open /dev/net/tun: " + reason);
    CHECK(run.details().find(detail) != std::string::npos);
    CHECK(node.run("STATUS", config).code() == 50);
    CHECK_FALSE(find_link_json("c1", "eth0"));
  };
  REQUIRE(::mount("tmpfs", "/dev/net", "tmpfs", 0, "mode=0755") == 0);
  both("no such file or directory", "the file is missing");
  // A number that no driver has.
  REQUIRE(::mknod("/dev/net/tun", S_IFCHR | 0600, makedev(10, 254)) == 0);
  both("no such device", "CONFIG_TUN");
  REQUIRE(::mount("tmpfs", "/dev/net", "tmpfs", MS_REMOUNT | MS_NODEV, "mode=0755") == 0);
  both("permission denied", "not allowed to use the file");
  REQUIRE(::umount("/dev/net") == 0);
}
