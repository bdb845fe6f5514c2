// Configuration files by their names.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace cni::libcni {

// The text after the last dot of a path's last component; empty without one.
std::string_view extension_of(std::string_view path);

// Paths of the regular files in a folder that have one of these extensions, sorted. Symbolic links
// are followed. Empty if there is no such folder.
std::vector<std::string> files_with_extension(const std::string& folder,
                                              std::initializer_list<std::string_view> extensions);

}  // namespace cni::libcni
