#include "pkg/skel/main.hpp"
#include "plugins/meta/portmap/portmap.hpp"

int main(int argc, char** argv) { return cni::skel::plugin_main(cni::portmap::plugin, argc, argv); }
