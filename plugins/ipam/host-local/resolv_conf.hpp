// The DNS settings of a resolv.conf file.
#pragma once

#include <string>
#include <string_view>

#include "pkg/types/result.hpp"

namespace cni::host_local {

// nameserver, domain, search and options lines; lists accumulate, the last domain counts, and lines
// without a value, comments
// (# or ;) and unknown keywords are skipped, as resolvers do.
Dns parse_resolv_conf(std::string_view text);

// Reads the file. Throws Code::kIoFailure if it cannot be read, also if it is not there.
Dns read_resolv_conf(const std::string& path);

}  // namespace cni::host_local
