#include "test/support/netns_fixture.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <stdexcept>
#include <thread>
#include <vector>

#include "pkg/types/error.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/skip.hpp"

namespace cni::test {
namespace {

void check(int result, const std::string& what) {
  if (result != 0) throw std::runtime_error(cat(what, ": ", errno_text(errno)));
}

void mount_fresh(const char* type, const std::string& where, const char* options) {
  check(::mount(type, where.c_str(), type, MS_NOSUID | MS_NODEV, options), cat("mount ", where));
}

void put(const std::string& path, const std::string& text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  check(fd < 0 ? -1 : 0, cat("open ", path));
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  (void)::close(fd);
  check(written ? 0 : -1, cat("write ", path));
}

// Root inside, the caller outside.
void enter_user_namespace() {
  const uid_t uid = ::getuid();
  const gid_t gid = ::getgid();
  if (::unshare(CLONE_NEWUSER) != 0) {
    skip(cat("not root, and no user namespace to be had: ", errno_text(errno)));
  }
  put("/proc/self/setgroups", "deny");
  put("/proc/self/uid_map", cat("0 ", uid, " 1"));
  put("/proc/self/gid_map", cat("0 ", gid, " 1"));
}

// Once for each process. Nothing mounted after this is seen outside.
void enter_private_mounts() {
  static bool done = false;
  if (done) return;
  if (::geteuid() != 0) enter_user_namespace();
  check(::unshare(CLONE_NEWNS), "make a mount namespace");
  check(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make the mounts private");
  done = true;
}

// Fresh ones cover, or replace, those of the Namespaces before.
void mount_private_folders() {
  static bool mounted = false;
  if (mounted) {
    for (const char* path : {"/sys", "/var/lib", "/run"}) {
      check(::umount2(path, MNT_DETACH), cat("unmount ", path));
    }
  }
  mount_fresh("tmpfs", "/run", "mode=0755");
  mount_fresh("tmpfs", "/var/lib", "mode=0755");
  // A sysfs shows the namespace that it was mounted from.
  mount_fresh("sysfs", "/sys", nullptr);
  mounted = true;
  check(::mkdir("/run/netns", 0755), "create /run/netns");
  check(::mkdir("/var/lib/cni", 0755), "create /var/lib/cni");
}

// Runs fn on a thread of its own and passes its exception on.
void on_thread(const std::function<void()>& fn) {
  std::exception_ptr failure;
  std::thread thread([&] {
    try {
      fn();
    } catch (...) {
      failure = std::current_exception();
    }
  });
  thread.join();
  if (failure) std::rethrow_exception(failure);
}

std::vector<std::string> probe_arguments(std::string_view kind) {
  if (kind == "vlan") return {"id", "5"};
  if (kind == "vrf") return {"table", "10"};
  return {};
}

// What `ip` says when it is to make such a link.
os::Exit probe_kind(std::string_view kind) {
  enter_private_mounts();
  os::Exit exit;
  in_fresh_netns([&] {
    (void)ip({"link", "add", "probe0", "type", "veth", "peer", "name", "probe1"});
    const bool has_parent = kind == "macvlan" || kind == "ipvlan" || kind == "vlan";
    std::vector<std::string> argv = {"ip", "link", "add"};
    if (has_parent) argv.insert(argv.end(), {"link", "probe0"});
    argv.insert(argv.end(), {"name", "probe2", "type", std::string(kind)});
    if (kind == "tap") argv = {"ip", "tuntap", "add", "name", "probe2", "mode", "tap"};
    const std::vector<std::string> more = probe_arguments(kind);
    argv.insert(argv.end(), more.begin(), more.end());
    exit = run(argv);
  });
  return exit;
}

}  // namespace

Namespaces::Namespaces() {
  enter_private_mounts();
  check(::unshare(CLONE_NEWNET), "make a network namespace");
  mount_private_folders();
  host_.emplace(ns::Netns::current());
  folder_ = std::make_unique<TemporaryFolder>("/run");
  // A fresh namespace inherits it, and machines that run containers have it on.
  put("/proc/sys/net/ipv4/ip_forward", "0");
  (void)ip({"link", "set", "lo", "up"});
}

Namespaces::~Namespaces() {
  folder_.reset();
  // Bound namespaces end with the mount they are bound in. An error shows at the next mount.
  (void)::umount2("/run", MNT_DETACH);
  (void)::mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
}

std::string Namespaces::container(const std::string& name) {
  std::string path = cat("/run/netns/", name);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
  check(fd < 0 ? -1 : 0, cat("create ", path));
  (void)::close(fd);
  in_fresh_netns([&] {
    check(::mount("/proc/thread-self/ns/net", path.c_str(), nullptr, MS_BIND, nullptr),
          cat("bind ", path));
  });
  return path;
}

void Namespaces::remove_container(const std::string& name) {
  const std::string path = cat("/run/netns/", name);
  check(::umount2(path.c_str(), MNT_DETACH), cat("unmount ", path));
  check(::unlink(path.c_str()), cat("remove ", path));
}

void in_fresh_netns(const std::function<void()>& fn) {
  on_thread([&] {
    check(::unshare(CLONE_NEWNET), "make a network namespace");
    fn();
  });
}

bool namespace_exists(const std::string& name) {
  return ns::Netns::find(cat("/run/netns/", name)).has_value();
}

void settle() {
  // The kernel destroys namespaces in the order in which they were given up. This one is given up
  // now, so when its veth's other end is gone from here, all before it are destroyed.
  static int count = 0;
  const std::string here = cat("settle", ++count);
  in_fresh_netns([&] {
    (void)ip({"link", "add", "inside", "type", "veth", "peer", "name", here});
    (void)ip({"link", "set", here, "netns", std::to_string(::getpid())});
  });
  for (int i = 0; i < 1000 && find_link_json("", here); ++i) ::usleep(5000);
}

void require_root_or_skip() {
  if (::geteuid() != 0) skip("needs root");
}

void require_kind(std::string_view kind) {
  const os::Exit exit = probe_kind(kind);
  if (!exit.ok()) skip(cat("no ", kind, " in this kernel: ", exit.err));
}

bool has_kind(std::string_view kind) { return probe_kind(kind).ok(); }

bool has_bridge_vlans() {
  enter_private_mounts();
  bool there = false;
  in_fresh_netns([&] {
    (void)ip({"link", "add", "probe0", "type", "bridge"});
    there = run({"bridge", "vlan", "add", "dev", "probe0", "vid", "5", "self"}).ok();
  });
  return there;
}

void require_bridge_vlans() {
  require_kind("bridge");
  if (!has_bridge_vlans()) skip("no bridge VLAN filtering in this kernel");
}

std::string require_program(std::string_view name) {
  const auto path = find_installed(name);
  if (!path) skip(cat("the program ", name, " is not installed"));
  return *path;
}

}  // namespace cni::test
