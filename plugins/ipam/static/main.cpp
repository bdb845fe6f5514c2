#include "pkg/skel/main.hpp"
#include "plugins/ipam/static/static_ipam.hpp"

int main(int argc, char** argv) {
  return cni::skel::plugin_main(cni::static_ipam::plugin, argc, argv);
}
