#include "pkg/skel/main.hpp"
#include "plugins/main/ptp/ptp.hpp"

int main(int argc, char** argv) { return cni::skel::plugin_main(cni::ptp::plugin, argc, argv); }
