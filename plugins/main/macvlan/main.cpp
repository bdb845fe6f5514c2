#include "pkg/skel/main.hpp"
#include "plugins/main/macvlan/macvlan.hpp"

int main(int argc, char** argv) { return cni::skel::plugin_main(cni::macvlan::plugin, argc, argv); }
