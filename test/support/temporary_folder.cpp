#include "test/support/temporary_folder.hpp"

#include <ftw.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "test/support/catch.hpp"

namespace cni::test {

TemporaryFolder::TemporaryFolder(const std::string& parent) : path_(parent) {
  const char* chosen = std::getenv("TMPDIR");
  if (path_.empty()) path_ = chosen != nullptr && *chosen != '\0' ? chosen : "/tmp";
  path_ += "/cni-test-XXXXXX";
  INFO("temporary folder " << path_);
  REQUIRE(::mkdtemp(path_.data()) != nullptr);
}

TemporaryFolder::~TemporaryFolder() { remove_tree(path_); }

void remove_tree(const std::string& path) {
  const auto remove = [](const char* name, const struct stat*, int, struct FTW*) {
    return std::remove(name);
  };
  // What cannot be removed stays in the temporary folder; that is no reason to fail a case.
  (void)::nftw(path.c_str(), remove, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

void write_file(const std::string& path, std::string_view content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << content;
  file.close();
  INFO("write " << path);
  REQUIRE(file.good());
}

std::string file_text(const std::string& path) {
  const std::ifstream file(path, std::ios::binary);
  INFO("read " << path);
  REQUIRE(file.good());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace cni::test
