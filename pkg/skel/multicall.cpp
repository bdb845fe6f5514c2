#include <cstdio>
#include <string_view>

#include "pkg/skel/main.hpp"

namespace cni::skel {
namespace {

std::string_view base_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

const Plugin* find_plugin(std::string_view name) {
  for (const Plugin* plugin : all_plugins()) {
    if (plugin->name == name) return plugin;
  }
  return nullptr;
}

int usage() {
  (void)std::fputs("usage: cni-plugins PLUGIN, or a link of a plugin's name to this file\nplugins:",
                   stderr);
  for (const Plugin* plugin : all_plugins()) {
    (void)std::fprintf(stderr, " %.*s", static_cast<int>(plugin->name.size()), plugin->name.data());
  }
  (void)std::fputs("\n", stderr);
  return 2;
}

}  // namespace

int multicall_main(int argc, char** argv) {
  if (argc < 1) return usage();
  if (const Plugin* plugin = find_plugin(base_name(argv[0]))) {
    return plugin_main(*plugin, argc, argv);
  }
  if (argc < 2) return usage();
  const Plugin* plugin = find_plugin(argv[1]);
  return plugin != nullptr ? plugin_main(*plugin, argc - 1, argv + 1) : usage();
}

}  // namespace cni::skel
