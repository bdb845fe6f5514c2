// Network namespaces: open, compare, and run code inside one without the calling thread ever
// leaving its own.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "pkg/os/fd.hpp"

namespace cni::ns {

// An open network namespace; keeps it alive.
class Netns {
 public:
  // Opens a namespace file (/run/netns/NAME, /proc/PID/ns/net). Throws Code::kInvalidNetns with
  // `failed to open netns "PATH": ...` if it is absent or not a namespace.
  static Netns open(const std::string& path);

  // For DEL: absent if there is nothing there that could be a namespace: an empty path, no file, or
  // a file that is no namespace (what is left of a bind mount that is gone).
  static std::optional<Netns> find(const std::string& path);

  // The calling thread's namespace.
  static Netns current();

  // A fresh one, which ends with the object. The calling thread stays where it is.
  static Netns make();

  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }
  // Same namespace, whatever the paths.
  bool is_same(const Netns& other) const;

  // Runs fn on a short-lived thread inside the namespace and returns what it returns; an exception
  // comes out here.
  template <class Fn>
  auto run(Fn&& fn) const -> std::invoke_result_t<Fn> {
    using Value = std::invoke_result_t<Fn>;
    if constexpr (std::is_void_v<Value>) {
      run_on_thread([&] { fn(); });
    } else {
      std::optional<Value> value;
      run_on_thread([&] { value.emplace(fn()); });
      return std::move(*value);
    }
  }

 private:
  Netns(os::Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  void run_on_thread(const std::function<void()>& fn) const;

  os::Fd fd_;
  std::string path_;
};

}  // namespace cni::ns
