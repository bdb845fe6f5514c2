// A whole chain: bridge, portmap, firewall, bandwidth, tuning and sbr.
#pragma once

#include <vector>

#include "test/bench/report.hpp"
#include "test/bench/scenarios.hpp"

namespace bench {

// ADD and DEL of all plugins, one after the other as a runtime runs them, with either backend. The
// reference's firewall has no nftables: it keeps iptables there. Nothing is masqueraded then, since
// its DEL fails where both are installed.
void measure_chain(const Options& options, std::vector<Row>& rows);

}  // namespace bench
