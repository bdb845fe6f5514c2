#include "plugins/ipam/host-local/resolv_conf.hpp"

#include <cerrno>
#include <vector>

#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"

namespace cni::host_local {
namespace {

std::vector<std::string> split_fields(std::string_view line) {
  constexpr std::string_view kSpace = " \t\r\v\f";
  std::vector<std::string> fields;
  while (true) {
    const std::size_t begin = line.find_first_not_of(kSpace);
    if (begin == std::string_view::npos) return fields;
    line.remove_prefix(begin);
    const std::size_t end = std::min(line.find_first_of(kSpace), line.size());
    fields.emplace_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

void read_line(std::string_view line, Dns& dns) {
  const std::vector<std::string> fields = split_fields(line);
  if (fields.size() < 2 || fields[0][0] == '#' || fields[0][0] == ';') return;
  const auto append_to = [&](std::vector<std::string>& list) {
    list.insert(list.end(), fields.begin() + 1, fields.end());
  };
  if (fields[0] == "nameserver") {
    dns.nameservers.push_back(fields[1]);
  } else if (fields[0] == "domain") {
    dns.domain = fields[1];
  } else if (fields[0] == "search") {
    append_to(dns.search);
  } else if (fields[0] == "options") {
    append_to(dns.options);
  }
}

}  // namespace

Dns parse_resolv_conf(std::string_view text) {
  Dns dns;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    read_line(text.substr(0, end), dns);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return dns;
}

Dns read_resolv_conf(const std::string& path) {
  const auto text = os::read_file(path);
  if (!text) throw system_error(cat("open ", path), ENOENT, Code::kIoFailure);
  return parse_resolv_conf(*text);
}

}  // namespace cni::host_local
