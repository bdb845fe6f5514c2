#include "pkg/skel/main.hpp"
#include "plugins/main/bridge/bridge.hpp"

int main(int argc, char** argv) { return cni::skel::plugin_main(cni::bridge::plugin, argc, argv); }
