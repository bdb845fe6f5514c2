#include "pkg/ns/netns.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstdio>
#include <exception>

#include "pkg/types/error.hpp"

namespace cni::ns {
namespace {

// For netlink requests and sysctls; sanitizers need several times what the code itself does.
constexpr std::size_t kStackSize = 1024UL * 1024;

// Why a path cannot be a namespace; errno 0 if it is another kind of file.
struct NotANamespace {
  int error = 0;
  std::string reason;
};

std::optional<NotANamespace> check_filesystem(const std::string& path) {
  struct statfs status {};
  if (::statfs(path.c_str(), &status) != 0) {
    const int error = errno;
    return NotANamespace{error, cat("failed to Statfs ", quote(path), ": ", errno_text(error))};
  }
  const auto magic = static_cast<unsigned long>(status.f_type);
  if (magic == NSFS_MAGIC || magic == PROC_SUPER_MAGIC) return std::nullopt;
  char hex[32];
  (void)std::snprintf(hex, sizeof hex, "%lx", magic);
  return NotANamespace{0, cat("unknown FS magic on ", quote(path), ": ", hex)};
}

Error cannot_open(const std::string& path, const std::string& reason, int error) {
  return Error(Code::kInvalidNetns, cat("failed to open netns ", quote(path), ": ", reason), {},
               error);
}

// Other files of these file systems, and namespaces of other kinds, are told apart only once they
// are open.
bool is_network_namespace(const os::Fd& fd) {
  return ::ioctl(fd.get(), NS_GET_NSTYPE) == CLONE_NEWNET;
}

constexpr int kFreshNamespace = -1;

struct Job {
  int netns_fd;
  const std::function<void()>& fn;
  std::exception_ptr failure;
};

void* run_job(void* argument) {
  auto& job = *static_cast<Job*>(argument);
  try {
    if (job.netns_fd == kFreshNamespace) {
      if (::unshare(CLONE_NEWNET) != 0) throw system_error("make a network namespace", errno);
    } else if (::setns(job.netns_fd, CLONE_NEWNET) != 0) {
      throw system_error("enter the network namespace", errno, Code::kInvalidNetns);
    }
    job.fn();
  } catch (...) {
    job.failure = std::current_exception();
  }
  return nullptr;
}

// A thread of its own: the caller's never leaves its namespace, so there is nothing to restore
// and nothing that can go wrong in restoring.
void run_job_on_thread(int netns_fd, const std::function<void()>& fn) {
  Job job{netns_fd, fn, nullptr};
  pthread_t thread{};
  pthread_attr_t attributes;
  (void)pthread_attr_init(&attributes);
  (void)pthread_attr_setstacksize(&attributes, kStackSize);  // the default is used if it is refused
  const int error = pthread_create(&thread, &attributes, run_job, &job);
  (void)pthread_attr_destroy(&attributes);
  if (error != 0) throw system_error("start a thread", error);
  (void)pthread_join(thread, nullptr);  // fails only for a thread that cannot be joined
  if (job.failure) std::rethrow_exception(job.failure);
}

}  // namespace

Netns Netns::open(const std::string& path) {
  if (const auto problem = check_filesystem(path)) {
    throw cannot_open(path, problem->reason, problem->error);
  }
  os::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) throw cannot_open(path, errno_text(errno), errno);
  if (!is_network_namespace(fd)) throw cannot_open(path, "it is no network namespace", EINVAL);
  return {std::move(fd), path};
}

std::optional<Netns> Netns::find(const std::string& path) {
  if (path.empty()) return std::nullopt;
  if (const auto problem = check_filesystem(path)) {
    const bool gone = problem->error == 0 || problem->error == ENOENT ||
                      problem->error == ENOTDIR || problem->error == ESRCH;
    if (gone) return std::nullopt;
    throw cannot_open(path, problem->reason, problem->error);
  }
  os::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd && !is_network_namespace(fd)) return std::nullopt;
  if (fd) return Netns(std::move(fd), path);
  // A process can end between the two calls: /proc/PID/ns/net is gone then.
  if (errno == ENOENT || errno == ESRCH) return std::nullopt;
  throw cannot_open(path, errno_text(errno), errno);
}

Netns Netns::current() {
  static constexpr const char* kPath = "/proc/thread-self/ns/net";
  os::Fd fd(::open(kPath, O_RDONLY | O_CLOEXEC));
  if (!fd) throw system_error("get plugin's netns failed", errno, Code::kInvalidNetns);
  return {std::move(fd), kPath};
}

bool Netns::is_same(const Netns& other) const {
  struct stat mine {};
  struct stat theirs {};
  if (::fstat(fd(), &mine) != 0 || ::fstat(other.fd(), &theirs) != 0) {
    throw system_error("compare network namespaces", errno, Code::kInvalidNetns);
  }
  return mine.st_dev == theirs.st_dev && mine.st_ino == theirs.st_ino;
}

Netns Netns::make() {
  std::optional<Netns> out;
  run_job_on_thread(kFreshNamespace, [&] { out = current(); });
  return *std::move(out);
}

void Netns::run_on_thread(const std::function<void()>& fn) const { run_job_on_thread(fd(), fn); }

}  // namespace cni::ns
