#include "pkg/skel/main.hpp"
#include "plugins/meta/vrf/vrf.hpp"

int main(int argc, char** argv) { return cni::skel::plugin_main(cni::vrf::plugin, argc, argv); }
