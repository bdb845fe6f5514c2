#include "pkg/skel/main.hpp"
#include "plugins/main/dummy/dummy.hpp"

int main(int argc, char** argv) { return cni::skel::plugin_main(cni::dummy::plugin, argc, argv); }
