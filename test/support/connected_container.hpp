// Containers that a plugin in front has connected with the host, for scenarios of chained plugins.
#pragma once

#include <string>

#include "test/support/scenario.hpp"

namespace cni::test {

// A number of the container's own, among those that are there at the same time.
int number_of(const std::string& container);

// What bridge or ptp hands on for a container of connect_container.
json link_of_chain(const Scenario& what, const std::string& container);

}  // namespace cni::test
