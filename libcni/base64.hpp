// Base64 (RFC 4648, section 4) of configuration texts in cache files.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace cni::libcni {

std::string to_base64(std::string_view bytes);

// Absent for anything that is not padded base64.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace cni::libcni
