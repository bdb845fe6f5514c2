#include "pkg/skel/main.hpp"
#include "plugins/main/vlan/vlan.hpp"

int main(int argc, char** argv) { return cni::skel::plugin_main(cni::vlan::plugin, argc, argv); }
