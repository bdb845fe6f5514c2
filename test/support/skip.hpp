// Ending a case that cannot run here.
#pragma once

#include <string>

namespace cni::test {

// Prints "SKIPPED: reason" and ends the case without failing it; ctest counts it as skipped by that
// word. To be called before the case has checked anything, because ctest believes the word even if
// a check failed.
[[noreturn]] void skip(const std::string& reason);

}  // namespace cni::test
