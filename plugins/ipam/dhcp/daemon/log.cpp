#include "plugins/ipam/dhcp/daemon/log.hpp"

#include <unistd.h>

#include <string>

#include "pkg/types/error.hpp"

namespace cni::dhcp {

void log(std::string_view text) {
  constexpr std::size_t kLongestLine = 2000;
  std::string line(text.substr(0, kLongestLine));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  line += '\n';
  // A log that cannot be written must not keep leases from being renewed.
  (void)!::write(STDERR_FILENO, line.data(), line.size());
}

void log(const LeaseKey& key, std::string_view text) {
  log(cat("container ", key.container_id, " network ", key.network, " ifname ", key.ifname, ": ",
          text));
}

}  // namespace cni::dhcp
