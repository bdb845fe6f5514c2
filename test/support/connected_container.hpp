// Containers that a plugin in front has connected with the host, for scenarios of chained plugins.
#pragma once

#include <string>

#include "test/support/scenario.hpp"

namespace cni::test {

// A number of the container's own, among those that are there at the same time.
int number_of(const std::string& container);

// What bridge or ptp hands on for a container of connect_container.
json link_of_chain(const Scenario& what, const std::string& container);

// The kernel makes an address's route in the background, after seconds where it destroys other
// namespaces. Snapshots have to have it from the start. Empty netns: the host.
void wait_for_local_route(const std::string& netns, const std::string& address);

// Where the addresses are that a plugin in front of portmap would have given.
void make_way_to_containers();

// A link with addresses and routes, as a plugin in front of a chained one would have made it.
void make_link_with_addresses(const std::string& container);

}  // namespace cni::test
