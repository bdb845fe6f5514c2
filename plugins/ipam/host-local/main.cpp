#include "pkg/skel/main.hpp"
#include "plugins/ipam/host-local/host_local.hpp"

int main(int argc, char** argv) {
  return cni::skel::plugin_main(cni::host_local::plugin, argc, argv);
}
