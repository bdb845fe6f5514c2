#include "plugins/ipam/host-local/store.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <unordered_set>

#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"

namespace cni::host_local {
namespace {

// Empty if there is no such folder.
os::Fd open_folder(const std::string& path) {
  os::Fd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder && errno != ENOENT && errno != ENOTDIR) {
    throw system_error(cat("open the folder ", path), errno, Code::kIoFailure);
  }
  return folder;
}

constexpr int kAttempts = 20;

Error removed_again(const Location& location) {
  return Error(Code::kTryAgainLater,
               cat("lock ", location.folder(), ": the folder is removed again and again"));
}

// True if the path leads to this folder.
bool is_at(const os::Fd& folder, const std::string& path) {
  struct stat opened {};
  struct stat present {};
  return ::fstat(folder.get(), &opened) == 0 && ::stat(path.c_str(), &present) == 0 &&
         opened.st_dev == present.st_dev && opened.st_ino == present.st_ino;
}

// The folder itself, or the nearest one above it that is there.
std::string existing_part(std::string path) {
  while (::access(path.c_str(), F_OK) != 0 && errno == ENOENT && path.size() > 1) {
    const std::size_t slash = path.rfind('/');
    path.resize(slash == 0 ? 1 : slash);
  }
  return path;
}

// In place, as it is no more than a hint: half an address, or none, only makes round robin start
// elsewhere.
void write_hint(const std::string& path, std::string_view text) {
  const os::Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) throw system_error(cat("open ", path), errno, Code::kIoFailure);
  os::write_all(fd.get(), text, cat("write ", path));
  if (::ftruncate(fd.get(), static_cast<off_t>(text.size())) != 0) {
    throw system_error(cat("write ", path), errno, Code::kIoFailure);
  }
}

}  // namespace

Store Store::create(const Location& location) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    os::make_directories(location.folder());
    if (auto store = open(location)) return *std::move(store);
  }
  throw removed_again(location);
}

std::optional<Store> Store::open(const Location& location) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    os::Fd folder = open_folder(location.folder());
    if (!folder) return std::nullopt;
    std::optional<os::FileLock> lock;
    try {
      lock.emplace(location.folder() + "/lock");
    } catch (const Error& error) {
      const bool removed = !is_at(folder, location.folder());
      if (!removed && error.sys_errno != EROFS) throw;
    }
    // While we waited, somebody may have removed the folder, and others made it anew with another
    // lock.
    if (is_at(folder, location.folder())) {
      return Store(location, std::move(folder), std::move(lock));
    }
  }
  throw removed_again(location);
}

Store::Store(const Location& location, os::Fd folder, std::optional<os::FileLock> lock)
    : location_(location),
      folder_(std::make_unique<os::Fd>(std::move(folder))),
      lock_(std::move(lock)),
      index_(std::make_unique<Index>(location, folder_->get())) {}

std::string Store::path_of(const Ip& ip) const {
  return cat(location_.folder(), "/", ip.to_string());
}

// Absent if the index names a file that says something else.
std::optional<std::vector<Ip>> Store::find_owned(const std::string& text) {
  std::vector<Ip> out;
  for (const Ip& ip : index_->owned_by(text)) {
    const auto reservation = find(ip);
    if (!reservation || reservation->content != text) return std::nullopt;
    out.push_back(ip);
  }
  return out;
}

std::vector<Ip> Store::owned_by(const std::string& text) {
  if (auto found = find_owned(text)) return *std::move(found);
  index_->rebuild();
  return find_owned(text).value_or(std::vector<Ip>{});
}

std::vector<Ip> Store::held_by(const Owner& owner) {
  std::vector<Ip> out = owned_by(owner.text());
  return out.empty() ? owned_by(owner.container_id) : out;
}

std::optional<Ip> Store::next_free(const Ip& first, const Ip& last) {
  return index_->next_free(first, last);
}

bool Store::make_certain() {
  if (index_->is_exact()) return false;
  index_->rebuild();
  return true;
}

template <class Fn>
auto Store::with_room(Fn fn) {
  try {
    return fn();
  } catch (const Error& error) {
    const bool full = error.sys_errno == ENOSPC || error.sys_errno == EDQUOT;
    if (!full || !index_->give_up_storage()) throw;
    return fn();
  }
}

bool Store::reserve(const Ip& ip, const Owner& owner) {
  const std::string path = path_of(ip);
  const auto create = [&] { return os::create_file(path, owner.text()); };
  if (!with_room(create)) {
    const auto present = find(ip);
    if (present && !present->is_torn()) {
      // Somebody put it there by hand while the lock was held.
      if (!index_->holds(ip)) index_->rebuild();
      return false;
    }
    (void)os::remove_file(path);  // gone already is as good
    if (!with_room(create)) return false;
  }
  index_->add(ip, owner.text());
  return true;
}

void Store::remove(const Ip& ip, const std::string& text) {
  if (os::remove_file(path_of(ip))) index_->remove(ip, text);
}

void Store::release(const Owner& owner) {
  ErrorList errors;
  for (const std::string& text : {owner.text(), owner.container_id}) {
    const std::vector<Ip> held = owned_by(text);
    for (const Ip& ip : held) errors.run([&] { remove(ip, text); });
    if (!held.empty()) break;
  }
  errors.throw_if_any();
}

void Store::release(const Ip& ip, const Owner& owner) {
  const auto reservation = find(ip);
  if (reservation && reservation->content == owner.text()) remove(ip, owner.text());
}

void Store::remove_torn(const Ip& ip) {
  if (os::remove_file(path_of(ip))) index_->note_other_change();
}

void Store::release_all_but(const std::vector<Attachment>& valid) {
  std::unordered_set<std::string> kept;
  for (const Attachment& attachment : valid) {
    kept.insert(Owner{attachment.container_id, attachment.ifname}.text());
    kept.insert(attachment.container_id);  // a record without interface is of all the container's
  }
  ErrorList errors;
  for (const Reservation& reservation : scan_reservations(folder_->get(), location_.folder())) {
    const bool stale = reservation.owner() && !kept.contains(*reservation.content);
    if (stale) errors.run([&] { remove(reservation.ip, *reservation.content); });
    if (reservation.is_torn()) errors.run([&] { remove_torn(reservation.ip); });
  }
  errors.throw_if_any();
}

std::optional<Ip> Store::last_reserved(std::size_t range_set) const {
  const auto text = os::read_file(cat(location_.folder(), "/last_reserved_ip.", range_set));
  if (!text) return std::nullopt;
  std::string_view trimmed = *text;
  while (!trimmed.empty() && (trimmed.back() == '\n' || trimmed.back() == '\r')) {
    trimmed.remove_suffix(1);
  }
  return Ip::parse(trimmed);
}

void Store::set_last_reserved(std::size_t range_set, const Ip& ip) {
  const std::string path = cat(location_.folder(), "/last_reserved_ip.", range_set);
  with_room([&] { write_hint(path, ip.to_string()); });
}

void check_writable(const Location& location) {
  const std::string folder = existing_part(location.folder());
  const os::Fd fd(::open(folder.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600));
  if (fd) {
    // A full disk takes a file's name but not its content.
    os::write_all(fd.get(), "probe", cat("write a file in ", folder));
    return;
  }
  const bool unsupported = errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL;
  if (unsupported && ::access(folder.c_str(), W_OK | X_OK) == 0) return;
  throw system_error(cat("create a file in ", folder), errno, Code::kIoFailure);
}

}  // namespace cni::host_local
