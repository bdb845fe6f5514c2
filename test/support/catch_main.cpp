// main() of every test executable, for both versions of Catch2.
#define CATCH_CONFIG_RUNNER
#include "test/support/catch.hpp"

int main(int argc, char** argv) { return Catch::Session().run(argc, argv); }
