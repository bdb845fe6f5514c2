// What each plugin of a chain and each of its delegates took, measured without the plugins' help.
//
// A private folder with a link to cnitool for each plugin stands first in CNI_PATH while the chain
// runs; cnitool started by such a link (shim.hpp) runs the real plugin and notes its times.
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "libcni/runtime.hpp"

namespace cni::cnitool {

// One run of one program, as the shim noted it.
struct NotedRun {
  std::string type;
  std::string command;
  int parent = 0;          // process that started it
  int child = 0;           // the plugin itself
  std::int64_t start = 0;  // nanoseconds of the steady clock
  std::int64_t end = 0;    // 0: it was killed
  bool failed = false;
};

// Reads the lines that shims wrote; skips what is none of theirs. In the order of their starts.
std::vector<NotedRun> read_notes(std::string_view text);

class Timing {
 public:
  // File that makes a folder one of ours, and holds the notes.
  static constexpr std::string_view kNotes = ".cnitool-timing";
  // Folder with a link to each real plugin.
  static constexpr std::string_view kTargets = ".targets";

  // Makes the folder, in `parent`. Throws Code::kIoFailure.
  Timing(const std::vector<std::string>& plugin_folders, const std::string& executable,
         const std::string& parent);
  Timing(const Timing&) = delete;
  Timing& operator=(const Timing&) = delete;
  // Removes the folder.
  ~Timing();

  const std::string& folder() const { return folder_; }

  // To be called after each plugin of the chain.
  void note(const libcni::PluginRun& run);

  // An array with type, command and ms of each plugin, failed if it did, and its delegates.
  nlohmann::json document() const;
  // The same as rows, with a heading; delegates are indented. Nothing if nothing ran.
  std::vector<std::vector<std::string>> table() const;

 private:
  struct ChainRun {
    std::string type;
    std::string command;
    std::int64_t start = 0;
    std::int64_t end = 0;
    bool failed = false;
  };
  // One line of the output.
  struct Row {
    std::string type;
    std::string command;
    std::int64_t duration = 0;  // -1: it was killed
    bool failed = false;
    int depth = 0;
  };
  std::vector<Row> rows() const;

  std::string folder_;
  std::vector<ChainRun> chain_;
};

}  // namespace cni::cnitool
