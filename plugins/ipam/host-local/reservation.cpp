#include "plugins/ipam/host-local/reservation.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "pkg/os/fd.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"

namespace cni::host_local {
namespace {

// No owner is longer: a container id is limited by the file name of the runtime's cache.
constexpr std::size_t kMaxContent = 4096;

std::string trimmed(std::string_view text) {
  constexpr std::string_view kBlank("\0 \t\n\v\f\r", 7);
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(kBlank) - begin + 1));
}

std::optional<std::string> read_content(int fd) {
  std::array<char, kMaxContent> buffer;
  ssize_t got = 0;
  do {
    got = ::read(fd, buffer.data(), buffer.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) return std::nullopt;
  return trimmed({buffer.data(), static_cast<std::size_t>(got)});
}

bool is_container_id(std::string_view text) {
  const auto is_alnum = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return !text.empty() && is_alnum(text[0]) && std::all_of(text.begin(), text.end(), [&](char c) {
    return is_alnum(c) || c == '_' || c == '.' || c == '-';
  });
}

std::string time_text(std::time_t time) {
  std::tm parts{};
  if (::gmtime_r(&time, &parts) == nullptr) return "an unknown time";
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace

std::optional<Owner> Reservation::owner() const {
  if (!content) return std::nullopt;
  const std::size_t line_end = content->find("\r\n");
  Owner out{content->substr(0, line_end), {}};
  if (!is_container_id(out.container_id)) return std::nullopt;
  if (line_end != std::string::npos) out.ifname = content->substr(line_end + 2);
  return out;
}

std::string Reservation::describe() const {
  const std::string when = cat(" since ", time_text(since));
  const auto who = owner();
  if (who && !who->ifname.empty()) {
    return cat("container ", who->container_id, " interface ", who->ifname, when);
  }
  if (who) return cat("container ", who->container_id, when);
  return cat(content ? quote(*content) : std::string("an unreadable file"), when);
}

std::optional<Ip> reserved_by_name(std::string_view name) {
  const auto ip = Ip::parse(name);
  // Another spelling of the address would be another file, which nobody looks for.
  if (!ip || ip->to_string() != name) return std::nullopt;
  return ip;
}

std::optional<Reservation> read_reservation(int folder, const Ip& ip) {
  const os::Fd fd(::openat(folder, ip.to_string().c_str(),
                           O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY));
  if (!fd && errno == ENOENT) return std::nullopt;
  Reservation out{.ip = ip, .content = std::nullopt, .since = 0};
  if (!fd) return out;
  struct stat status {};
  if (::fstat(fd.get(), &status) == 0) out.since = status.st_mtime;
  out.content = read_content(fd.get());
  return out;
}

std::vector<Reservation> scan_reservations(int folder, const std::string& path) {
  std::vector<Reservation> out;
  for (const std::string& name : os::list_directory(path)) {
    if (name.starts_with(".cni-tmp-")) {
      (void)::unlinkat(folder, name.c_str(),
                       0);  // if it cannot be removed, it is not ours to complain
      continue;
    }
    const auto ip = reserved_by_name(name);
    if (!ip) continue;
    if (auto reservation = read_reservation(folder, *ip)) out.push_back(*std::move(reservation));
  }
  return out;
}

}  // namespace cni::host_local
