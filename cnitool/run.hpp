// One run of cnitool from start to end.
#pragma once

#include <string>
#include <vector>

#include "cnitool/session.hpp"

namespace cni::cnitool {

// Does what the words behind the program's name ask for and prints the result or the error. Returns
// the exit status: 0, or 1 after an error, which is printed once.
int run(const Surroundings& surroundings, const std::vector<std::string>& words);

}  // namespace cni::cnitool
