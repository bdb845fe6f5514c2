#include "pkg/skel/main.hpp"
#include "plugins/meta/tuning/tuning.hpp"

int main(int argc, char** argv) { return cni::skel::plugin_main(cni::tuning::plugin, argc, argv); }
