// What names that servers send, and files are called by, may consist of. Of ASCII alone: what
// isalnum() says depends on the locale.
#pragma once

#include <cstdint>

namespace cni::dhcp {

constexpr bool is_letter_or_digit(std::uint8_t octet) {
  return (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z') ||
         (octet >= '0' && octet <= '9');
}

// Of a label of a domain name (RFC 1035 2.3.1), with the underscore that is in use.
constexpr bool is_label_octet(std::uint8_t octet) {
  return is_letter_or_digit(octet) || octet == '-' || octet == '_';
}

}  // namespace cni::dhcp
