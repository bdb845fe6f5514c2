// Leases of dhcp: each implementation's plugin and daemon, with a server of the same kind.
#pragma once

#include <vector>

#include "test/bench/report.hpp"
#include "test/bench/scenarios.hpp"

namespace bench {

// ADD and DEL of bridge + dhcp. dnsmasq on the bridge is the server, and answers at once.
void measure_leases(const Options& options, std::vector<Row>& rows);

}  // namespace bench
