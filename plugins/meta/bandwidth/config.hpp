// The configuration of the bandwidth plugin.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "pkg/skel/request.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/schema.hpp"

namespace cni::bandwidth {

// In bits, as users write them.
struct Limit {
  std::uint64_t rate = 0;   // a second; 0: no limit
  std::uint64_t burst = 0;  // 0: chosen from the rate
};

enum class Queue { kTbf, kHtb };

struct Config {
  Limit ingress;  // towards the container
  Limit egress;
  Queue queue = Queue::kTbf;
  std::uint32_t latency = 25;  // milliseconds; of tbf
  // Whose traffic is limited, as seen from the container: if `is_excluded`, all but that of these
  // networks, else only that of these. Empty: all.
  std::vector<Prefix> networks;
  bool is_excluded = false;

  bool has_limits() const { return ingress.rate != 0 || egress.rate != 0; }
};

extern const schema::Description kDescription;

// Reads and validates all of it. Throws before anything was touched.
Config parse(const skel::Request& request);

}  // namespace cni::bandwidth
