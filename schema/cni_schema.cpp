// cni_schema [--check] FOLDER
//
// Writes the JSON Schema of every plugin, of conf.json and of conflist.json into a folder. With
// --check it writes nothing and fails if a file there is not what it would write.
#include <cstdio>
#include <fstream>
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

int run(const std::string& folder, bool check) {
  int status = 0;
  for (const auto& [name, text] : cni::schema_files::write_all(cni::skel::all_plugins())) {
    const std::string path = cni::cat(folder, "/", name);
    if (!check) {
      // Not os::replace_file, whose files are root's alone.
      std::ofstream file(path);
      file << text << std::flush;
      if (!file) throw cni::Error(cni::Code::kIoFailure, cni::cat("write ", path));
    } else if (cni::os::read_file(path) != text) {
      (void)std::fprintf(stderr, "%s is not what the plugins say of themselves\n", path.c_str());
      status = 1;
    }
  }
  if (status != 0) (void)std::fputs("cmake --build BUILD --target schema writes them\n", stderr);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  const bool check = argc > 1 && std::string_view(argv[1]) == "--check";
  if (argc != (check ? 3 : 2)) return usage();
  try {
    return run(argv[argc - 1], check);
  } catch (const cni::Error& error) {
    (void)std::fprintf(stderr, "cni_schema: %s\n", error.what());
    return 1;
  }
}
