#include "pkg/os/file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <memory>

#include "pkg/types/error.hpp"

namespace cni::os {
namespace {

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// A name in the same folder that starts with a dot and nobody else uses.
std::string temporary_name(const std::string& path) {
  unsigned long long random = 0;
  if (getrandom(&random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) {
    throw system_error("read random bytes for a file name", errno, Code::kIoFailure);
  }
  char suffix[32];
  (void)std::snprintf(suffix, sizeof suffix, "/.cni-tmp-%016llx", random);
  return parent_of(path) + suffix;
}

// Gives an open, unnamed or temporarily named file its name. False if the name is taken.
bool link_into_place(int fd, const std::string& temporary, const std::string& path) {
  const std::string source = temporary.empty() ? cat("/proc/self/fd/", fd) : temporary;
  const int linked = ::linkat(AT_FDCWD, source.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW);
  const int error = errno;
  if (!temporary.empty()) (void)::unlink(temporary.c_str());  // ours, and of no use any more
  if (linked == 0) return true;
  if (error == EEXIST) return false;
  throw system_error(cat("create ", path), error, Code::kIoFailure);
}

}  // namespace

std::optional<std::string> read_file(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
  if (!fd) throw system_error(cat("open ", path), errno, Code::kIoFailure);
  return read_all(fd.get(), cat("read ", path));
}

bool create_file(const std::string& path, std::string_view content) {
  std::string temporary;
  Fd fd(::open(parent_of(path).c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600));
  if (!fd && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
    temporary = temporary_name(path);
    fd.reset(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  }
  if (!fd) throw system_error(cat("create ", path), errno, Code::kIoFailure);
  try {
    write_all(fd.get(), content, cat("write ", path));
  } catch (...) {
    if (!temporary.empty()) (void)::unlink(temporary.c_str());
    throw;
  }
  return link_into_place(fd.get(), temporary, path);
}

void replace_file(const std::string& path, std::string_view content, Flush flush) {
  const std::string temporary = temporary_name(path);
  const Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) throw system_error(cat("create ", path), errno, Code::kIoFailure);
  try {
    write_all(fd.get(), content, cat("write ", path));
    if (flush == Flush::kYes && ::fsync(fd.get()) != 0) {
      throw system_error(cat("flush ", path), errno, Code::kIoFailure);
    }
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
      throw system_error(cat("replace ", path), errno, Code::kIoFailure);
    }
  } catch (...) {
    (void)::unlink(temporary.c_str());
    throw;
  }
}

bool remove_file(const std::string& path) {
  if (::unlink(path.c_str()) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  throw system_error(cat("remove ", path), errno, Code::kIoFailure);
}

void make_directories(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0) {
    // mkdir applies the umask.
    if (::chmod(path.c_str(), mode) != 0) {
      throw system_error(cat("set the mode of ", path), errno, Code::kIoFailure);
    }
    return;
  }
  if (errno == ENOENT && parent_of(path) != path) {
    make_directories(parent_of(path), mode);
    make_directories(path, mode);
    return;
  }
  const int error = errno;
  struct stat status {};
  if (error == EEXIST && ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return;
  throw system_error(cat("create the folder ", path), error, Code::kIoFailure);
}

std::vector<std::string> list_directory(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
  if (!dir && errno == ENOENT) return {};
  if (!dir) throw system_error(cat("open the folder ", path), errno, Code::kIoFailure);
  std::vector<std::string> out;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(dir.get());
    if (entry == nullptr && errno != 0) {
      throw system_error(cat("read the folder ", path), errno, Code::kIoFailure);
    }
    if (entry == nullptr) return out;
    std::string name = entry->d_name;
    if (name != "." && name != "..") out.push_back(std::move(name));
  }
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool is_regular_file(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

bool is_path_component(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

}  // namespace cni::os
