#include "test/support/fault.hpp"

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <utility>

#include "pkg/types/error.hpp"
#include "test/support/skip.hpp"
#include "test/support/temporary_folder.hpp"

namespace cni::test {
namespace {

struct NamedCall {
  long number;
  const char* name;
};

// Calls that cannot fail, or only by a mistake of the caller, and those of which the C library
// relies on it.
constexpr NamedCall kUnfailing[] = {
    {SYS_rt_sigaction, "rt_sigaction"},
    {SYS_rt_sigprocmask, "rt_sigprocmask"},
    {SYS_rt_sigreturn, "rt_sigreturn"},
    {SYS_rt_sigtimedwait, "rt_sigtimedwait"},
    {SYS_close, "close"},
    {SYS_futex, "futex"},
    {SYS_exit, "exit"},
    {SYS_exit_group, "exit_group"},
    {SYS_rseq, "rseq"},
    {SYS_set_robust_list, "set_robust_list"},
    {SYS_set_tid_address, "set_tid_address"},
    {SYS_umask, "umask"},
    {SYS_madvise, "madvise"},
    {SYS_munmap, "munmap"},
    {SYS_getpid, "getpid"},
    {SYS_gettid, "gettid"},
    {SYS_getuid, "getuid"},
    {SYS_geteuid, "geteuid"},
    {SYS_getgid, "getgid"},
    {SYS_getegid, "getegid"},
    {SYS_wait4, "wait4"},
    {SYS_sched_yield, "sched_yield"},
#ifdef SYS_arch_prctl
    {SYS_arch_prctl, "arch_prctl"},
#endif
};

// The others that occur, for messages.
constexpr NamedCall kOthers[] = {
    {SYS_write, "write"},
    {SYS_pwrite64, "pwrite64"},
    {SYS_writev, "writev"},
    {SYS_sendto, "sendto"},
    {SYS_sendmsg, "sendmsg"},
    {SYS_openat, "openat"},
    {SYS_mkdirat, "mkdirat"},
    {SYS_linkat, "linkat"},
    {SYS_unlinkat, "unlinkat"},
    {SYS_renameat2, "renameat2"},
    {SYS_ftruncate, "ftruncate"},
    {SYS_fallocate, "fallocate"},
    {SYS_utimensat, "utimensat"},
    {SYS_fchmod, "fchmod"},
    {SYS_fchmodat, "fchmodat"},
    {SYS_flock, "flock"},
    {SYS_ioctl, "ioctl"},
    {SYS_setsockopt, "setsockopt"},
    {SYS_clone, "clone"},
    {SYS_clone3, "clone3"},
    {SYS_execve, "execve"},
    {SYS_bind, "bind"},
    {SYS_read, "read"},
    {SYS_pread64, "pread64"},
    {SYS_recvfrom, "recvfrom"},
    {SYS_recvmsg, "recvmsg"},
    {SYS_brk, "brk"},
    {SYS_mmap, "mmap"},
    {SYS_mprotect, "mprotect"},
    {SYS_newfstatat, "newfstatat"},
    {SYS_fstat, "fstat"},
    {SYS_statfs, "statfs"},
    {SYS_socket, "socket"},
    {SYS_setns, "setns"},
    {SYS_pipe2, "pipe2"},
    {SYS_fcntl, "fcntl"},
    {SYS_getrandom, "getrandom"},
    {SYS_prlimit64, "prlimit64"},
    {SYS_close_range, "close_range"},
    {SYS_getdents64, "getdents64"},
    {SYS_lseek, "lseek"},
    {SYS_readlinkat, "readlinkat"},
    {SYS_faccessat, "faccessat"},
    {SYS_dup3, "dup3"},
    {SYS_ppoll, "ppoll"},
    {SYS_getsockname, "getsockname"},
#ifdef SYS_readlink
    {SYS_mkdir, "mkdir"},
    {SYS_link, "link"},
    {SYS_unlink, "unlink"},
    {SYS_rename, "rename"},
    {SYS_chmod, "chmod"},
    {SYS_open, "open"},
    {SYS_vfork, "vfork"},
    {SYS_rmdir, "rmdir"},
    {SYS_readlink, "readlink"},
    {SYS_poll, "poll"},
    {SYS_dup2, "dup2"},
    {SYS_access, "access"},
    {SYS_stat, "stat"},
#endif
};

// The first thing that a plugin does is to look whether its standard descriptors are open. Before
// that there is only the C library, which cannot go on if its first calls fail.
constexpr long kFirstOfMain = SYS_fcntl;

template <std::size_t size>
const NamedCall* find_call(const NamedCall (&table)[size], long number) {
  const NamedCall* found = std::find_if(
      table, table + size, [number](const NamedCall& each) { return each.number == number; });
  return found == table + size ? nullptr : found;
}

std::string name_of(long number) {
  for (const NamedCall* found : {find_call(kUnfailing, number), find_call(kOthers, number)}) {
    if (found != nullptr) return found->name;
  }
  return cat("system call ", number);
}

bool is_counted(const Fault& fault, long number) {
  return fault.kind != Fault::Kind::kFail || find_call(kUnfailing, number) == nullptr;
}

// The two things about a stopped system call that depend on the machine: to leave it out, and what
// it returns.
#if defined(__x86_64__)
constexpr bool kKnownMachine = true;
void leave_out(pid_t tid) {
  user_regs_struct registers{};
  (void)::ptrace(PTRACE_GETREGS, tid, nullptr, &registers);
  registers.orig_rax = ~0ULL;
  (void)::ptrace(PTRACE_SETREGS, tid, nullptr, &registers);
}
unsigned long long exchange_first_argument(pid_t tid, unsigned long long value) {
  user_regs_struct registers{};
  (void)::ptrace(PTRACE_GETREGS, tid, nullptr, &registers);
  const unsigned long long old = std::exchange(registers.rdi, value);
  (void)::ptrace(PTRACE_SETREGS, tid, nullptr, &registers);
  return old;
}
// The program relies on its registers being untouched.
void restore_first_argument(pid_t tid, unsigned long long value) {
  (void)exchange_first_argument(tid, value);
}
void set_result(pid_t tid, int error) {
  user_regs_struct registers{};
  (void)::ptrace(PTRACE_GETREGS, tid, nullptr, &registers);
  registers.rax = static_cast<unsigned long long>(-static_cast<long long>(error));
  (void)::ptrace(PTRACE_SETREGS, tid, nullptr, &registers);
}
#elif defined(__aarch64__)
constexpr bool kKnownMachine = true;
void leave_out(pid_t tid) {
  int number = -1;
  iovec data{&number, sizeof number};
  (void)::ptrace(PTRACE_SETREGSET, tid, reinterpret_cast<void*>(NT_ARM_SYSTEM_CALL), &data);
}
unsigned long long exchange_first_argument(pid_t tid, unsigned long long value) {
  user_regs_struct registers{};
  iovec data{&registers, sizeof registers};
  (void)::ptrace(PTRACE_GETREGSET, tid, reinterpret_cast<void*>(NT_PRSTATUS), &data);
  const unsigned long long old = std::exchange(registers.regs[0], value);
  (void)::ptrace(PTRACE_SETREGSET, tid, reinterpret_cast<void*>(NT_PRSTATUS), &data);
  return old;
}
// The first argument's register is the result's here.
void restore_first_argument(pid_t /*unused*/, unsigned long long /*unused*/) {}
void set_result(pid_t tid, int error) {
  user_regs_struct registers{};
  iovec data{&registers, sizeof registers};
  (void)::ptrace(PTRACE_GETREGSET, tid, reinterpret_cast<void*>(NT_PRSTATUS), &data);
  registers.regs[0] = static_cast<unsigned long long>(-static_cast<long long>(error));
  (void)::ptrace(PTRACE_SETREGSET, tid, reinterpret_cast<void*>(NT_PRSTATUS), &data);
}
#else
constexpr bool kKnownMachine = false;
void leave_out(pid_t /*unused*/) {}
unsigned long long exchange_first_argument(pid_t /*unused*/, unsigned long long /*unused*/) {
  return 0;
}
void restore_first_argument(pid_t /*unused*/, unsigned long long /*unused*/) {}
void set_result(pid_t /*unused*/, int /*unused*/) {}
#endif

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// Follows a plugin and everything it starts, system call by system call.
class Supervisor {
 public:
  Supervisor(const Fault& fault, FaultyRun& result) : fault_(fault), result_(result) {}

  // The wait status of the plugin's first process, once all are gone.
  int follow(pid_t pid) {
    first_ = pid;
    int status = 0;
    if (::waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) {
      throw std::runtime_error("the traced process did not stop");
    }
    constexpr long kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                              PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    (void)::ptrace(PTRACE_SETOPTIONS, pid, nullptr, kOptions);
    tasks_[pid] = {.process = process_of(pid)};
    go_on(pid, 0);
    while (!tasks_.empty()) wait_for_one();
    return first_status_;
  }

 private:
  struct Task {
    int process = 0;       // which one of the plugin and the programs that it runs
    bool leaving = false;  // the call that it is in was left out
    long number = 0;       // of the call that it is in
    std::optional<unsigned long long>
        argument;  // the first one of a call whose arguments were changed
  };

  static void go_on(pid_t tid, int signal) {
    // A task that was killed meanwhile cannot go on; its end is reported by waitpid.
    (void)::ptrace(PTRACE_SYSCALL, tid, nullptr, signal);
  }

  void wait_for_one() {
    int status = 0;
    const pid_t tid = ::waitpid(-1, &status, __WALL);
    if (tid < 0) {
      if (errno == EINTR) return;
      throw std::runtime_error("lost the traced processes");
    }
    if (!WIFSTOPPED(status)) {
      if (tid == first_) first_status_ = status;
      tasks_.erase(tid);
      return;
    }
    const auto [found, fresh] = tasks_.try_emplace(tid);
    if (fresh) found->second.process = process_of(tid);
    const int signal = WSTOPSIG(status);
    if (signal == (SIGTRAP | 0x80)) {
      at_call(tid);
      go_on(tid, 0);
    } else if (status >> 16 != 0) {
      go_on(tid, 0);
    } else {
      // A new task starts with a stop that is the tracer's, not its own.
      go_on(tid, fresh && signal == SIGSTOP ? 0 : signal);
    }
  }

  void at_call(pid_t tid) {
    __ptrace_syscall_info info{};
    (void)::ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info);
    Task& task = tasks_[tid];
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
      task.number = static_cast<long>(info.entry.nr);
      if (tid == first_ && task.number == kFirstOfMain) counting_ = true;
      if (fault_.kind == Fault::Kind::kFail && is_it(task)) {
        make_fail(tid, task);
      }
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
      if (task.leaving) set_result(tid, fault_.error);
      if (task.argument) restore_first_argument(tid, *task.argument);
      task.leaving = false;
      task.argument.reset();
      if (fault_.kind != Fault::Kind::kFail && is_it(task)) kill_after(tid);
    }
  }

  static void make_fail(pid_t tid, Task& task) {
    if (task.number == SYS_brk) {
      // It fails by returning where the end of the data is, which is also what 0 asks for.
      task.argument = exchange_first_argument(tid, 0);
      return;
    }
    task.leaving = true;
    leave_out(tid);
  }

  // Counts a call; true for the one that the fault is for.
  bool is_it(const Task& task) {
    if (!counting_ || task.process != fault_.process || !is_counted(fault_, task.number) ||
        ++count_ != fault_.when) {
      return false;
    }
    result_.happened = true;
    result_.call = name_of(task.number);
    return true;
  }

  void kill_after(pid_t tid) {
    if (fault_.kind == Fault::Kind::kKillProcess) {
      (void)::kill(group_of(tid), SIGKILL);
      return;
    }
    for (const auto& [each, task] : tasks_) (void)::kill(each, SIGKILL);
  }

  // The process of a thread.
  static pid_t group_of(pid_t tid) {
    const std::string text = file_text(cat("/proc/", tid, "/status"));
    return static_cast<pid_t>(std::stoi(text.substr(text.find("\nTgid:") + 6)));
  }

  // Processes are numbered in the order in which they are first seen.
  int process_of(pid_t tid) {
    return processes_.try_emplace(group_of(tid), static_cast<int>(processes_.size())).first->second;
  }

  const Fault& fault_;
  FaultyRun& result_;
  std::map<pid_t, int> processes_;
  std::map<pid_t, Task> tasks_;
  pid_t first_ = 0;
  int first_status_ = 0;
  bool counting_ = false;
  int count_ = 0;
};

}  // namespace

FaultyRun call_with_fault(const std::string& plugin, const Call& what, const Fault& fault) {
  FaultyRun result;
  Supervisor supervisor(fault, result);
  Call traced = what;
  // The leak detector of sanitized builds traces the process itself.
  traced.more_environment.push_back("ASAN_OPTIONS=detect_leaks=0");
  result.run = call_traced(plugin, traced, [&](pid_t pid) { return supervisor.follow(pid); });
  return result;
}

void require_fault_injection() {
  if (!kKnownMachine) skip("system calls cannot be made to fail on this machine");
  if (kSanitized) skip("the sanitizer's own system calls must not fail");
  Call call;
  call.command = "VERSION";
  Fault fault;
  fault.error = EIO;
  FaultyRun probe;
  try {
    probe = call_with_fault("loopback", call, fault);
  } catch (const std::runtime_error&) {
    probe.happened = false;
  }
  if (!probe.happened) skip("tracing is not allowed here");
}

}  // namespace cni::test
