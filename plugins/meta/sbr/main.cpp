#include "pkg/skel/main.hpp"
#include "plugins/meta/sbr/sbr.hpp"

int main(int argc, char** argv) { return cni::skel::plugin_main(cni::sbr::plugin, argc, argv); }
