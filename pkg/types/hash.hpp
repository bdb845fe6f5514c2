// SHA-512, and the names that the suite derives from it: those of the reference plugins, so that
// both find each other's state.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cni {

// The digest as 128 lower-case hexadecimal digits.
std::string sha512_hex(std::string_view data);

// prefix followed by as many digits of the input's digest as make total_length characters in all. A
// prefix that long or longer is returned as it is.
std::string hashed_name(std::string_view prefix, std::string_view input, std::size_t total_length);

// The iptables chain that masquerades a container of a network: "CNI-" and 24 digits.
std::string masquerade_chain_name(std::string_view network, std::string_view container_id);

// What the nftables comments of a network's attachments begin with: 16 digits.
std::string network_hash(std::string_view network);

// What the nftables comments of one attachment begin with: network_hash, "-" and 16 digits.
std::string attachment_hash(std::string_view network, std::string_view ifname,
                            std::string_view container_id);

}  // namespace cni
