// portmap where many ports are published already.
#pragma once

#include <vector>

#include "test/bench/scenarios.hpp"

namespace bench {

void measure_published_ports(const Options& options, std::vector<Row>& rows);

}  // namespace bench
