#include "pkg/skel/main.hpp"
#include "plugins/main/tap/tap.hpp"

int main(int argc, char** argv) { return cni::skel::plugin_main(cni::tap::plugin, argc, argv); }
