#include "pkg/skel/main.hpp"
#include "plugins/ipam/dhcp/dhcp.hpp"

int main(int argc, char** argv) { return cni::skel::plugin_main(cni::dhcp::plugin, argc, argv); }
