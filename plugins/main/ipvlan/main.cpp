#include "pkg/skel/main.hpp"
#include "plugins/main/ipvlan/ipvlan.hpp"

int main(int argc, char** argv) { return cni::skel::plugin_main(cni::ipvlan::plugin, argc, argv); }
