#include "plugins/meta/tuning/parameter.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"

namespace cni::tuning {
namespace {

constexpr std::string_view kRoot = "/proc/sys";
constexpr std::string_view kTree = "net";
constexpr std::string_view kPlaceholder = "IFNAME";
constexpr std::string_view kSeparators = "./";
constexpr std::string_view kSpaces = " \t\n\r\v\f";

// Takes the text up to a separator off the front of `rest`, and the separator.
std::string take(std::string_view& rest, std::string_view separators) {
  const std::size_t end = std::min(rest.find_first_of(separators), rest.size());
  std::string out(rest.substr(0, end));
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return out;
}

// net/ipv4/conf and its like hold a folder for each interface.
bool holds_interfaces(const std::vector<std::string>& components) {
  return components.size() == 3 && (components[2] == "conf" || components[2] == "neigh");
}

std::string take_interface(std::string_view& rest, std::string_view ifname, char separator) {
  const bool is_ifname =
      rest.starts_with(ifname) && rest.size() > ifname.size() && rest[ifname.size()] == separator;
  if (is_ifname) {
    rest.remove_prefix(ifname.size() + 1);
    return std::string(ifname);
  }
  // What stands behind the last separator is the parameter, not a part of the name.
  if (rest.find(separator) == std::string_view::npos) return take(rest, kSeparators);
  std::string name = take(rest, std::string_view(&separator, 1));
  std::replace(name.begin(), name.end(), '/', '.');
  return name;
}

std::vector<std::string> split(std::string_view key, std::string_view ifname) {
  std::string_view rest = key;
  while (rest.starts_with('/')) rest.remove_prefix(1);
  const std::size_t first = rest.find_first_of(kSeparators);
  const char separator = first == std::string_view::npos ? '/' : rest[first];
  std::vector<std::string> out;
  while (!rest.empty()) {
    out.push_back(holds_interfaces(out) ? take_interface(rest, ifname, separator)
                                        : take(rest, kSeparators));
  }
  return out;
}

void substitute(std::vector<std::string>& components, std::string_view ifname) {
  for (std::string& component : components) {
    const std::size_t at = component.find(kPlaceholder);
    if (at == std::string::npos) continue;
    component.replace(at, kPlaceholder.size(), ifname);
    return;
  }
}

bool is_below_net(const std::vector<std::string>& components) {
  return components.size() >= 2 && components[0] == kTree &&
         std::all_of(components.begin(), components.end(), os::is_path_component);
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

// With one blank for each run of white space.
std::string normalised(std::string_view text) {
  std::string out;
  for (const char c : trimmed(text)) {
    const bool is_space = kSpaces.find(c) != std::string_view::npos;
    if (!is_space) out += c;
    if (is_space && out.back() != ' ') out += ' ';
  }
  return out;
}

}  // namespace

Parameter Parameter::parse(std::string_view key, std::string_view ifname) {
  std::vector<std::string> components = split(key, ifname);
  substitute(components, ifname);
  if (!is_below_net(components) || kSeparators.find(key.back()) != std::string_view::npos) {
    throw Error(Code::kInvalidNetworkConfig,
                cat("invalid net sysctl key: ", quote(key),
                    " (it has to name a parameter below /proc/sys/net, as net.core.somaxconn or "
                    "net/ipv4/conf/IFNAME/arp_filter)"));
  }
  return Parameter(std::move(components));
}

std::optional<Parameter> Parameter::from_name(std::string_view name) {
  std::vector<std::string> components;
  std::string_view rest = name;
  while (!rest.empty()) components.push_back(take(rest, "/"));
  if (!is_below_net(components)) return std::nullopt;
  return Parameter(std::move(components));
}

std::string Parameter::name() const {
  std::string out;
  for (const std::string& component : components_) {
    if (!out.empty()) out += '/';
    out += component;
  }
  return out;
}

std::string Parameter::path() const { return cat(kRoot, '/', name()); }

bool Parameter::is_of(std::string_view ifname) const {
  const bool has_interface =
      components_.size() > 3 && (components_[2] == "conf" || components_[2] == "neigh");
  return has_interface && components_[3] == ifname;
}

os::Fd Parameter::open(int flags) const {
  const auto failure = [&] { return system_error(cat("open ", path()), errno); };
  os::Fd at(::open(std::string(kRoot).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!at) throw failure();
  for (std::size_t i = 0; i < components_.size(); ++i) {
    const bool is_last = i + 1 == components_.size();
    const int wanted = is_last ? flags : O_PATH | O_DIRECTORY;
    os::Fd next(::openat(at.get(), components_[i].c_str(), wanted | O_NOFOLLOW | O_CLOEXEC));
    if (!next) throw failure();
    at = std::move(next);
  }
  return at;
}

std::string Parameter::read() const {
  const os::Fd fd = open(O_RDONLY);
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw system_error(cat("read ", path()), errno);
    if (got == 0) break;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  return std::string(trimmed(text));
}

void Parameter::write(std::string_view value) const {
  const os::Fd fd = open(O_WRONLY);
  // Without any octet the kernel would not take notice.
  const std::string_view text = value.empty() ? std::string_view("\n") : value;
  if (::write(fd.get(), text.data(), text.size()) >= 0) return;
  Error error = system_error(cat("write ", path()), errno);
  error.add_detail(cat("the value is ", quote(value)));
  throw error;
}

bool is_same_value(std::string_view one, std::string_view other) {
  return normalised(one) == normalised(other);
}

}  // namespace cni::tuning
