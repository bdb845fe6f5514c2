// main() of every test executable, for both versions of Catch2.

// Under the address sanitizer g++ 12 takes a part of std::regex, which Catch2 2 uses, for
// uninitialized (GCC bug 105562). The warning is given where the templates end, so a push and pop
// around the include would not do.
#if defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#define CATCH_CONFIG_RUNNER
#include "test/support/catch.hpp"

int main(int argc, char** argv) { return Catch::Session().run(argc, argv); }
