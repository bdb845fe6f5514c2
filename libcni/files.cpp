#include "libcni/files.hpp"

#include <algorithm>

#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"

namespace cni::libcni {
std::string_view extension_of(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  const std::size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
}

std::vector<std::string> files_with_extension(const std::string& folder,
                                              std::initializer_list<std::string_view> extensions) {
  std::vector<std::string> out;
  for (const std::string& name : os::list_directory(folder)) {
    const bool wanted =
        std::find(extensions.begin(), extensions.end(), extension_of(name)) != extensions.end();
    std::string path = cat(folder, '/', name);
    if (wanted && os::is_regular_file(path)) out.push_back(std::move(path));
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace cni::libcni
