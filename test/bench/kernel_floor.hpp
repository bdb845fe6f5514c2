// What the kernel alone takes for an attachment: the same changes, made by one process that has its
// sockets open.
#pragma once

#include "test/bench/node.hpp"
#include "test/bench/process.hpp"

namespace bench {

struct KernelFloor {
  Duration add{};  // veth into a bridge, both ends up, address, default route
  Duration del{};  // its deletion
};

// Once, on a node where nobody else is at work.
KernelFloor measure_kernel_floor(const Node& node);

}  // namespace bench
