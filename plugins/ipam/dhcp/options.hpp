// The options that a configuration lets the client send and ask for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "plugins/ipam/dhcp/lease_request.hpp"

namespace cni::dhcp {

// An entry of ipam.provide.
struct Provide {
  std::string option;
  std::string value;
  std::string from_arg;  // key of CNI_ARGS; where that is there, its value counts
};

// An entry of ipam.request.
struct Ask {
  std::string option;
  bool skip_default = false;
};

// What is sent, in the order of the codes, with the last value of each. The pod's name is the host
// name if no entry gives one. Throws Code::kInvalidNetworkConfig for an option that is none or may
// not be provided, and for a value of more than 255 octets.
std::vector<ProvidedOption> provided_options(const std::vector<Provide>& entries,
                                             std::string_view args);

// The codes of option 55: those of the entries in their order, then what a result is made of unless
// an entry says skipDefault. Each once. Throws as provided_options does.
Bytes requested_options(const std::vector<Ask>& entries);

}  // namespace cni::dhcp
