// A folder that lives as long as its object.
#pragma once

#include <string>
#include <string_view>

namespace cni::test {

class TemporaryFolder {
 public:
  // Below `parent`, which has to exist; empty: TMPDIR or /tmp.
  explicit TemporaryFolder(const std::string& parent = {});
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();

  const std::string& path() const { return path_; }
  // The path of something in it.
  std::string operator/(std::string_view name) const { return path_ + '/' + std::string(name); }

 private:
  std::string path_;
};

// Removes a file or a folder with everything in it; nothing happens if there is none.
void remove_tree(const std::string& path);

// Writes a file (mode 0644), or fails the case.
void write_file(const std::string& path, std::string_view content);
// A file's content, or fails the case.
std::string file_text(const std::string& path);

}  // namespace cni::test
