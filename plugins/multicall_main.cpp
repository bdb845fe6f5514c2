#include "pkg/skel/main.hpp"

int main(int argc, char** argv) { return cni::skel::multicall_main(argc, argv); }
