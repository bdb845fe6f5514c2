// Leases on disk, so that a daemon that is started anew goes on with them.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/os/fd.hpp"
#include "plugins/ipam/dhcp/daemon/port.hpp"
#include "plugins/ipam/dhcp/lease.hpp"

namespace cni::dhcp {

struct Record {
  LeaseRequest request;
  Lease lease;
  PortIdentity identity;
};

// The version of the files; those of a newer one are neither read nor overwritten nor removed.
inline constexpr int kStateVersion = 1;

// A folder (0700) with a file (0600) for each lease, which is always a whole one. The times in them
// count from the machine's start: after another start they mean nothing, and the containers that
// they belong to are gone.
class StateFolder {
 public:
  // Makes the folder. Throws Code::kIoFailure, and Code::kConflict if another daemon uses it.
  explicit StateFolder(std::string folder);
  StateFolder(std::string folder, std::string boot_id);

  struct Found {
    std::vector<Record> records;
    std::vector<std::string> warnings;  // one for each file that was left alone
  };
  // Reads all files. Those of another start of the machine are removed, and so is what a daemon
  // left that was killed while it wrote.
  Found load();

  // Throws Code::kIoFailure, after which the file is as it was before.
  void save(const Record& record);
  // Success if there is none. Throws Code::kIoFailure.
  void remove(const LeaseKey& key);

  // Different for different keys, and a file's name whatever is in them.
  static std::string file_name(const LeaseKey& key);

 private:
  void load_file(const std::string& name, Found& found);
  // For a key whose file belongs to a newer daemon.
  void check_ours(const std::string& name) const;
  std::string path_of(const std::string& name) const { return folder_ + '/' + name; }

  std::string folder_;
  std::string boot_id_;
  os::Fd lock_;                  // on the folder
  std::set<std::string> newer_;  // files of a newer version
};

}  // namespace cni::dhcp
