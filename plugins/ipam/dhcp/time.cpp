#include "plugins/ipam/dhcp/time.hpp"

#include <time.h>

namespace cni::dhcp {

Time now() {
  timespec at{};
  (void)::clock_gettime(CLOCK_BOOTTIME, &at);  // fails for an unknown clock alone
  return std::chrono::duration_cast<Time>(std::chrono::seconds(at.tv_sec) +
                                          std::chrono::nanoseconds(at.tv_nsec));
}

}  // namespace cni::dhcp
