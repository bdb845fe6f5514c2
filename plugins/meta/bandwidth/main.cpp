#include "pkg/skel/main.hpp"
#include "plugins/meta/bandwidth/bandwidth.hpp"

int main(int argc, char** argv) {
  return cni::skel::plugin_main(cni::bandwidth::plugin, argc, argv);
}
