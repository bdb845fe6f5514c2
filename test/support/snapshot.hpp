// Everything a plugin can leave behind, as text that can be compared.
#pragma once

#include <set>
#include <string>
#include <vector>

namespace cni::test {

// One line for each object: link, address, route, rule, permanent neighbour, queueing discipline,
// nftables object, sysctl, file. What changes by itself (handles, counters, indexes, timers,
// automatic link-local addresses, carrier) is left out.
struct Snapshot {
  std::multiset<std::string> lines;

  bool operator==(const Snapshot& other) const = default;
};

// Of the host (the process's namespace), of the containers (names below /run/netns or paths; one
// that is gone is noted as such) and of the files below the folders.
Snapshot take(const std::vector<std::string>& containers,
              const std::vector<std::string>& folders = {"/var/lib/cni", "/run/cni"});

// Without the things that attachments share, which are made once and stay: bridges with their
// addresses, routes and sysctls, tables and chains without rules of an attachment, forwarding,
// locks, last_reserved_ip and index files, empty folders.
Snapshot without_shared(const Snapshot& snapshot);

// "- line" for what is only in `before`, "+ line" for what is only in `after`; empty if they are
// equal.
std::string diff(const Snapshot& before, const Snapshot& after);

}  // namespace cni::test
