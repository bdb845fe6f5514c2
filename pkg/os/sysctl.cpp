#include "pkg/os/sysctl.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "pkg/os/fd.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"

namespace cni::os {
namespace {

bool holds(int fd, std::string_view value) {
  char current[64];
  const ssize_t got = ::pread(fd, current, sizeof current, 0);
  return got > 0 && std::string_view(current, static_cast<std::size_t>(got) - 1) == value;
}

}  // namespace

std::string sysctl_path(SysctlKey key) {
  std::string path = "/proc/sys";
  for (const std::string_view component : key) {
    if (!is_path_component(component)) {
      throw Error(Code::kInvalidNetworkConfig,
                  cat("sysctl path component ", quote(component), " is not a name"));
    }
    path += '/';
    path += component;
  }
  return path;
}

std::optional<std::string> read_sysctl(SysctlKey key) {
  auto value = read_file(sysctl_path(key));
  while (value && !value->empty() && value->back() == '\n') value->pop_back();
  return value;
}

void write_sysctl(SysctlKey key, std::string_view value) {
  const std::string path = sysctl_path(key);
  const std::string what = cat("set ", path, " to ", value);
  Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  const int error = errno;
  if (!fd) fd.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) throw system_error(what, error);
  if (holds(fd.get(), value)) return;
  if (::pwrite(fd.get(), value.data(), value.size(), 0) < 0) {
    throw system_error(what, errno == EBADF ? error : errno);  // EBADF: open for reading only
  }
}

bool try_write_sysctl(SysctlKey key, std::string_view value) {
  try {
    write_sysctl(key, value);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace cni::os
