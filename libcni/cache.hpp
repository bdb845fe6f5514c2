// What a runtime remembers of each attachment, so that CHECK, DEL and GC get the configuration and
// the result of ADD. The files are those of the Go library, which can read ours and whose we read.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pkg/os/lock.hpp"

namespace cni::libcni {

// Arguments in the form of CNI_ARGS, in their order.
using Arguments = std::vector<std::pair<std::string, std::string>>;

struct CachedAttachment {
  std::string network;
  std::string container_id;
  std::string ifname;
  std::string netns;            // path; empty if unknown
  std::string network_text;     // the configuration list of ADD; empty if unknown
  Arguments arguments;          // of CNI_ARGS
  std::string capability_args;  // a JSON object; empty if there were none
  std::string result;           // JSON, in the version that it names; empty if there was none
  std::string file;             // where it was read; not written
};

// The folder has to be one that nobody else can write to. Thread-safe, also for other processes: a
// file is complete or not there.
class Cache {
 public:
  // Where the Go library keeps it.
  static constexpr std::string_view kDefaultFolder = "/var/lib/cni";

  // Files stand in `folder`/results; folders are made with mode 0700 when the first one is stored.
  explicit Cache(std::string folder = std::string(kDefaultFolder));

  // Replaces what is known of the attachment: temporary file, flushed to the disk, renamed; mode
  // 0600. Throws Code::kIoFailure.
  void store(const CachedAttachment& attachment) const;

  // What is known; absent without a file. A file that is no attachment's holds the bare result of
  // an older library, which then is all that is known. Throws Code::kIoFailure if it cannot be
  // read and Code::kDecodingFailure if it is torn.
  std::optional<CachedAttachment> load(std::string_view network, std::string_view container_id,
                                       std::string_view ifname) const;

  // False if there is nothing to remove.
  bool remove(std::string_view network, std::string_view container_id,
              std::string_view ifname) const;

  // Keeps the attachment from being deleted and reconciled at once, until it is destroyed. Absent
  // if there is no file. Throws Code::kIoFailure.
  std::optional<os::FileLock> lock(std::string_view network, std::string_view container_id,
                                   std::string_view ifname) const;

  // All attachments that can be read, sorted by file name. `unreadable`, if given, receives the
  // paths of files that are none.
  std::vector<CachedAttachment> list(std::vector<std::string>* unreadable = nullptr) const;

  // Throws Code::kInvalidEnvironment if one of the three is missing or cannot be part of a file
  // name.
  std::string path_of(std::string_view network, std::string_view container_id,
                      std::string_view ifname) const;

 private:
  std::string folder_;
};

}  // namespace cni::libcni
