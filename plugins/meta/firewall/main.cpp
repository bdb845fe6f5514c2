#include "pkg/skel/main.hpp"
#include "plugins/meta/firewall/firewall.hpp"

int main(int argc, char** argv) {
  return cni::skel::plugin_main(cni::firewall::plugin, argc, argv);
}
