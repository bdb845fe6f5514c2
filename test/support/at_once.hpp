// Many processes that do something at once.
#pragma once

#include <functional>

namespace cni::test {

// Runs fn(number) in as many processes, which start together, and demands that none fails. What one
// throws is its failure, told on stderr; its assertions are not counted.
void run_at_once(int processes, const std::function<void(int)>& fn);

}  // namespace cni::test
