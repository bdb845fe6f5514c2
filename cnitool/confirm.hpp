// Asking before something is removed, and reading what the caller pipes in.
#pragma once

#include <string>
#include <string_view>

#include "cnitool/session.hpp"

namespace cni::cnitool {

// Shows the text on stderr and asks whether to go on. Throws Code::kInvalidEnvironment if stdin is
// no terminal, with `instead`, what to do instead; and if it is cancelled.
bool confirm(const Surroundings& surroundings, std::string_view text, std::string_view instead);

// All of stdin. Throws Code::kIoFailure, also if it is cancelled.
std::string read_stdin(const Surroundings& surroundings);

}  // namespace cni::cnitool
