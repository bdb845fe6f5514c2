// The one exception type of the suite, with the codes of the CNI specification, and helpers to
// build and collect errors.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace cni {

// Error codes: 0 to 99 are the CNI specification's ("Error" in SPEC.md 1.1.0), 100 and above belong
// to the plugins.
enum class Code : unsigned {
  kUnknown = 0,               // a delegate died without an error object
  kIncompatibleVersion = 1,   // cniVersion that the plugin does not speak
  kUnsupportedField = 2,      // a key or value that the plugin does not support
  kUnknownContainer = 3,      // nothing to clean up
  kInvalidEnvironment = 4,    // a CNI_ variable is missing or invalid
  kIoFailure = 5,             // stdin, stdout or state files
  kDecodingFailure = 6,       // text that cannot be decoded: JSON, a key of the wrong type
  kInvalidNetworkConfig = 7,  // a well-formed config that cannot work
  kInvalidNetns = 8,          // CNI_NETNS cannot be used
  kTryAgainLater = 11,        // a transient condition outlasted the retries
  kPluginNotAvailable = 50,   // STATUS: ADD cannot work now
  kLimitedConnectivity = 51,  // STATUS: ADD cannot work, and running containers may be affected
  // Ours. 100 is left out: libraries before 0.8 used it for every error. 101 is left out: it never
  // had a meaning.
  kSystemCall = 102,  // the kernel refused an operation; the errno is in sys_errno
  kDelegateFailed =
      103,  // a delegate or helper program could not be run, or its output not be understood
  kAddressUnavailable = 104,    // the address range is exhausted, or a requested address is taken
  kCheckFailed = 105,           // CHECK found a difference
  kConflict = 106,              // something of that name exists and is not what it has to be
  kMissingKernelFeature = 107,  // the kernel does not have the link type or option
  kCannotUpdate = 108,          // UPDATE: it cannot be changed while the container runs
  kInternal = 999,              // nobody foresaw this
};

// What ends an operation. `msg` names operation and object; `details` holds the kernel's own words,
// a delegate's details and failed undo steps; `sys_errno` is 0 where no system call was involved.
class Error : public std::exception {
 public:
  Error(Code error_code, std::string message, std::string more = {}, int error_number = 0);

  // "msg" or "msg; details".
  const char* what() const noexcept override;

  // Puts "prefix: " before the message.
  void prepend(std::string_view prefix);
  void add_detail(std::string_view detail);

  Code code;
  std::string msg;
  std::string details;
  int sys_errno = 0;

 private:
  mutable std::string text_;
};

// The kernel's sentence for an errno, without the capital letter: "no such file or directory".
std::string errno_text(int error_number);

// Error for a failed system call: "operation: no such file or directory", Code::kSystemCall unless
// said otherwise.
Error system_error(std::string_view operation, int error_number, Code code = Code::kSystemCall);

namespace internal {
template <class T>
void append_text(std::string& out, const T& piece) {
  if constexpr (std::is_same_v<T, char>) {
    out.push_back(piece);
  } else if constexpr (std::is_arithmetic_v<T>) {
    out += std::to_string(piece);
  } else {
    out += piece;
  }
}
}  // namespace internal

// Joins texts and numbers: cat("mtu ", 1500).
template <class... Pieces>
std::string cat(const Pieces&... pieces) {
  std::string out;
  (internal::append_text(out, pieces), ...);
  return out;
}

// The text in double quotes, with quotes, backslashes and control characters escaped.
std::string quote(std::string_view text);

// Runs fn; an Error that leaves it gets "prefix: " put before its message. The code never changes.
template <class Fn>
decltype(auto) context(std::string_view prefix, Fn&& fn) {
  try {
    return std::forward<Fn>(fn)();
  } catch (Error& error) {
    error.prepend(prefix);
    throw;
  }
}

// For DEL and GC, which go on after a failure: collects errors and throws one at the end.
class ErrorList {
 public:
  void add(Error error);

  // Runs fn and keeps an Error that it throws.
  template <class Fn>
  void run(Fn&& fn) {
    try {
      std::forward<Fn>(fn)();
    } catch (Error& error) {
      add(std::move(error));
    }
  }

  bool empty() const { return errors_.empty(); }

  // Throws an Error with the first one's code and all messages joined by "; ". Does nothing when
  // empty.
  void throw_if_any() const;

 private:
  std::vector<Error> errors_;
};

}  // namespace cni
