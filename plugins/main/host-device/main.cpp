#include "pkg/skel/main.hpp"
#include "plugins/main/host-device/host_device.hpp"

int main(int argc, char** argv) {
  return cni::skel::plugin_main(cni::host_device::plugin, argc, argv);
}
