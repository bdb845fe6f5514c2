#include "pkg/skel/main.hpp"
#include "sample.hpp"

int main(int argc, char** argv) { return cni::skel::plugin_main(sample::plugin, argc, argv); }
