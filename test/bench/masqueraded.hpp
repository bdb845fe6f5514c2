// ipMasq where many containers are masqueraded already.
#pragma once

#include <vector>

#include "test/bench/scenarios.hpp"

namespace bench {

void measure_masqueraded(const Options& options, std::vector<Row>& rows);

}  // namespace bench
