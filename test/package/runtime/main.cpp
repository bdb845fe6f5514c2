// A container runtime as small as can be, made from the installed package:
//   runtime add|check|del CONFLIST PLUGIN-FOLDER NETNS
#include <cstdio>
#include <string>
#include <string_view>

#include "libcni/network.hpp"
#include "libcni/runtime.hpp"
#include "pkg/types/error.hpp"

namespace {

bool act(std::string_view verb, const cni::libcni::Runtime& runtime,
         const cni::libcni::Network& network, const cni::libcni::ContainerInterface& where) {
  if (verb == "add") {
    (void)std::puts(runtime.add(network, where).json.c_str());
  } else if (verb == "check") {
    runtime.check(network, where);
  } else if (verb == "del") {
    runtime.del(network, where);
  } else {
    return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 5) {
      const cni::libcni::Runtime runtime({.plugin_folders = {argv[3]}});
      const cni::libcni::Network network = cni::libcni::load_network_file(argv[2]);
      if (act(argv[1], runtime, network,
              {.container_id = "box", .netns = argv[4], .ifname = "eth0"})) {
        return 0;
      }
    }
    (void)std::fputs("usage: runtime add|check|del CONFLIST PLUGIN-FOLDER NETNS\n", stderr);
    return 2;
  } catch (const cni::Error& error) {
    (void)std::fprintf(stderr, "runtime: %s (code %u)\n", error.what(),
                       static_cast<unsigned>(error.code));
    return 1;
  }
}
