// cni_schema [--check] FOLDER
//
// Writes the JSON Schema of every plugin, of conf.json and of conflist.json into a folder. With
// --check it writes nothing and fails if what is there is not what it would write.
#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <string_view>

#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "schema/json_schema.hpp"

namespace {

int usage() {
  (void)std::fputs("usage: cni_schema [--check] FOLDER\n", stderr);
  return 2;
}

using Files = std::map<std::string, std::string>;

void write(const std::string& folder, const Files& files) {
  for (const auto& [name, text] : files) {
    const std::string path = cni::cat(folder, "/", name);
    // Not os::replace_file, whose files are root's alone.
    std::ofstream file(path);
    file << text << std::flush;
    if (!file) throw cni::Error(cni::Code::kIoFailure, cni::cat("write ", path));
  }
}

// 0 if the folder's schemas are the given files and no others.
int check(const std::string& folder, const Files& files) {
  int status = 0;
  const auto complain = [&](const std::string& name, const char* what) {
    (void)std::fprintf(stderr, "%s/%s %s\n", folder.c_str(), name.c_str(), what);
    status = 1;
  };
  for (const auto& [name, text] : files) {
    if (cni::os::read_file(cni::cat(folder, "/", name)) != text) {
      complain(name, "is not what the plugins say of themselves");
    }
  }
  for (const std::string& name : cni::os::list_directory(folder)) {
    if (name.ends_with(".json") && !files.contains(name)) complain(name, "is no plugin's");
  }
  if (status != 0) (void)std::fputs("cmake --build BUILD --target schema writes them\n", stderr);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  const bool only_check = argc > 1 && std::string_view(argv[1]) == "--check";
  if (argc != (only_check ? 3 : 2)) return usage();
  try {
    const std::string folder = argv[argc - 1];
    const Files files = cni::schema_files::write_all(cni::skel::all_plugins());
    if (only_check) return check(folder, files);
    write(folder, files);
    return 0;
  } catch (const cni::Error& error) {
    (void)std::fprintf(stderr, "cni_schema: %s\n", error.what());
    return 1;
  }
}
