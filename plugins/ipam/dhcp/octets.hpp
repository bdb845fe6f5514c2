// Octets as text in JSON: lower-case hexadecimal digits, since they need not be UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "pkg/types/json.hpp"
#include "plugins/ipam/dhcp/lease_request.hpp"

namespace cni::dhcp {

std::string to_hex(const Bytes& octets);
// The octets under a key, which has to be there. Throws Code::kDecodingFailure for anything but an
// even number of digits, and for more than `most` octets.
Bytes read_hex(const Reader& in, std::string_view key, std::size_t most);

}  // namespace cni::dhcp
