// The file that remembers what an attachment's settings were before ADD changed them: the reference
// plugin's, with keys of our own behind its keys.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "pkg/skel/request.hpp"
#include "pkg/types/config.hpp"
#include "plugins/meta/tuning/settings.hpp"

namespace cni::tuning {

inline constexpr std::string_view kDefaultDataDir = "/run/cni/tuning";

struct Backup {
  Settings original;
  // Empty in files of the reference.
  std::string network;
  std::string container_id;
  std::string ifname;
  // The interface that it is of, so that the values never go to another one of that name; 0:
  // unknown.
  std::uint64_t netns_cookie = 0;
  int link_index = 0;

  // Whether it is of this namespace, and of the interface that is there now. One that does not say
  // so may be.
  bool is_of_namespace(const Container& container) const;
  bool is_of_interface(Container& container) const;
};

// An attachment's backup for the interface as it is now, without values.
Backup new_backup(const skel::Request& request, Container& container);

std::string backup_path(const std::string& data_dir, const skel::Request& request);

// Absent if there is no such file, or if it is no backup.
std::optional<Backup> read_backup(const std::string& path);
// Makes or replaces the file, and its folder where that is missing: nobody ever sees half of it.
void write_backup(const std::string& path, const Backup& backup);

// Whether another backup of the same container has a value of this parameter: another interface of
// the container wants it too.
bool is_shared(const std::string& path, const skel::Request& request, const Parameter& parameter);

// Removes the backups of the network's attachments that are not valid. Files of the reference do
// not say which network they are of: such a one goes only if the runtime's cache of results in
// `cache_folder`, which has every attachment, names valid ones but not that one.
void collect_garbage(const std::string& data_dir, std::string_view network,
                     std::span<const Attachment> valid, const std::string& cache_folder);

// Where runtimes keep it (libcni's default).
inline constexpr std::string_view kResultCache = "/var/lib/cni/results";

}  // namespace cni::tuning
