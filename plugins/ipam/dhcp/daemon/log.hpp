// The daemon's log: lines on stderr, to which the journal adds the time.
#pragma once

#include <string_view>

#include "plugins/ipam/dhcp/lease_request.hpp"

namespace cni::dhcp {

// Writes one line, whatever stands in the text: a server's words are part of some.
void log(std::string_view text);
// The same, behind the names of container, network and interface.
void log(const LeaseKey& key, std::string_view text);

}  // namespace cni::dhcp
