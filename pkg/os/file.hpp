// Small files: read, and write so that nobody ever sees half of one.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/os/fd.hpp"

namespace cni::os {

// The file's content; absent if there is no such file. Throws Code::kIoFailure otherwise.
std::optional<std::string> read_file(const std::string& path);

// Creates path with the given content, complete or not at all, mode 0600. Returns false if it
// exists already, which is left as it is. A crash leaves no temporary file behind where the file
// system has O_TMPFILE. Not flushed to the disk.
bool create_file(const std::string& path, std::string_view content);

// Replaces or creates path: temporary file in the same folder, fsync if asked, rename; mode 0600.
enum class Flush { kNo, kYes };
void replace_file(const std::string& path, std::string_view content, Flush flush);

// Removes a file; false if there is none.
bool remove_file(const std::string& path);

// Creates a folder and its missing parents, each with `mode` whatever the umask. Existing ones are
// left as they are.
void make_directories(const std::string& path, mode_t mode = 0700);

// Names in a folder, without "." and ".."; empty if there is no such folder.
std::vector<std::string> list_directory(const std::string& path);

// What stands before the last slash of a path; "." without one.
std::string folder_of(const std::string& path);

// True for a regular file and for a link to one.
bool is_regular_file(const std::string& path);

// A name that can be one component of a path: not empty, not "." or "..", no "/" and no NUL.
bool is_path_component(std::string_view name);

}  // namespace cni::os
