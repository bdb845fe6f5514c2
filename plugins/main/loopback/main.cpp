#include "pkg/skel/main.hpp"
#include "plugins/main/loopback/loopback.hpp"

int main(int argc, char** argv) {
  return cni::skel::plugin_main(cni::loopback::plugin, argc, argv);
}
