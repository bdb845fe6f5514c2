#include "plugins/meta/tuning/tuning.hpp"

#include <unistd.h>

#include <cerrno>
#include <optional>

#include "pkg/attachment/interface.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "plugins/meta/tuning/allowlist.hpp"
#include "plugins/meta/tuning/backup.hpp"
#include "plugins/meta/tuning/config.hpp"
#include "plugins/meta/tuning/update.hpp"

namespace cni::tuning {
namespace {

const Result& require_prev_result(const skel::Request& request) {
  const Result* result = request.config.prev_result();
  if (result != nullptr) return *result;
  throw Error(Code::kInvalidNetworkConfig,
              "Required prevResult missing: tuning stands behind another plugin in a list, it "
              "cannot be called alone");
}

// What an ADD does to the backup, and how it is taken back.
struct Memory {
  std::string path;
  std::optional<Backup> earlier;  // of an ADD before this one, whose DEL has not come
  Settings before;                // the values as this ADD finds them
};

void take_back(const std::string& netns_path, const std::string& ifname, const Memory& memory) {
  ErrorList errors;
  errors.run([&] {
    if (!ns::Netns::find(netns_path)) return;
    Container container = open_container(netns_path, ifname);
    restore(container, memory.before, errors);
  });
  errors.run([&] {
    if (memory.earlier) {
      write_backup(memory.path, *memory.earlier);
    } else {
      (void)os::remove_file(memory.path);
    }
  });
  errors.throw_if_any();
}

// Before anything is changed: a killed ADD leaves what DEL needs. What an earlier ADD found is the
// truth, this one may find values that are set already.
void remember(const skel::Request& request, const Config& config, Container& container,
              os::Undo& undo) {
  Memory memory{.path = backup_path(config.data_dir, request),
                .earlier = read_backup(backup_path(config.data_dir, request)),
                .before = read_current(container, config.settings)};
  Backup backup = new_backup(request, container);
  const bool is_ours = memory.earlier && !memory.earlier->container_id.empty();
  if (is_ours && (memory.earlier->container_id != backup.container_id ||
                  memory.earlier->ifname != backup.ifname)) {
    throw Error(Code::kConflict,
                cat(memory.path, " belongs to ", memory.earlier->ifname, " of container ",
                    memory.earlier->container_id),
                "give this network a dataDir of its own");
  }
  // One that says nothing of the interface may be left from another container of this name.
  const bool counts = is_ours && memory.earlier->is_of_namespace(container) &&
                      memory.earlier->is_of_interface(container);
  if (!counts) memory.earlier.reset();
  if (memory.earlier) backup.original = memory.earlier->original;
  backup.original.add_missing(memory.before);
  if (!memory.earlier || memory.earlier->original != backup.original) {
    write_backup(memory.path, backup);
  }
  undo.push(cat("restore the settings of ", request.ifname),
            [netns = request.netns, ifname = request.ifname, memory] {
              take_back(netns, ifname, memory);
            });
}

Result add(const skel::Request& request, os::Undo& undo) {
  const Config config = parse(request);
  Result result = require_prev_result(request);
  check_allowed(config.sysctl_keys);
  Container container = open_container(request.netns, request.ifname);
  if (config.settings.empty()) return result;
  remember(request, config, container, undo);
  apply(container, config.settings);
  describe_settings(request.ifname, config.settings, result);
  return result;
}

// What is to be given back: nothing to an interface that only has the name of the one that was
// changed, and no parameter that another interface of the container wants too.
Settings to_restore(const skel::Request& request, const std::string& path, const Backup& backup,
                    Container& container) {
  const bool is_same_interface = backup.is_of_interface(container);
  Settings out = is_same_interface ? backup.original : Settings{};
  out.sysctls.clear();
  for (const Sysctl& sysctl : backup.original.sysctls) {
    const bool is_of_interface = sysctl.parameter.is_of(request.ifname);
    const bool stays =
        is_of_interface ? !is_same_interface : is_shared(path, request, sysctl.parameter);
    if (!stays) out.sysctls.push_back(sysctl);
  }
  return out;
}

// A value that the kernel does not take back must not keep the container from being deleted.
void restore_original(const skel::Request& request, const std::string& path, const Backup& backup) {
  ErrorList errors;
  errors.run([&] {
    if (!ns::Netns::find(request.netns)) return;
    Container container = open_container(request.netns, request.ifname);
    if (!backup.is_of_namespace(container)) return;
    restore(container, to_restore(request, path, backup, container), errors);
  });
  try {
    errors.throw_if_any();
  } catch (const Error& error) {
    skel::warn(request, "tuning", error.what());
  }
}

void del(const skel::Request& request) {
  const std::string path = backup_path(parse_data_dir(request), request);
  if (const auto backup = read_backup(path)) {
    const bool is_anothers =
        !backup->container_id.empty() &&
        (backup->container_id != request.container_id || backup->ifname != request.ifname);
    if (is_anothers) return;
    restore_original(request, path, *backup);
  }
  (void)os::remove_file(path);
}

void check(const skel::Request& request) {
  const Config config = parse(request);
  (void)require_prev_result(request);
  Container container = open_container(request.netns, request.ifname);
  const auto difference = find_difference(container, config.settings);
  if (difference) throw Error(Code::kCheckFailed, *difference);
}

void require_writable(const std::string& folder) {
  std::string nearest = folder;
  while (::access(nearest.c_str(), F_OK) != 0 && errno == ENOENT && nearest != "/") {
    nearest = os::folder_of(nearest);
  }
  if (::access(nearest.c_str(), W_OK) == 0) return;
  throw system_error(cat("dataDir: write to ", nearest), errno, Code::kPluginNotAvailable);
}

void status(const skel::Request& request) {
  const Config config = parse(request);
  attachment::require_available([&] {
    check_allowed(config.sysctl_keys);
    require_writable(config.data_dir);
  });
}

void gc(const skel::Request& request) {
  collect_garbage(parse_data_dir(request), request.config.name, request.config.valid_attachments,
                  std::string(kResultCache));
}

}  // namespace

const skel::Plugin plugin{.name = "tuning",
                          .add = add,
                          .del = del,
                          .check = check,
                          .status = status,
                          .gc = gc,
                          .update = &kUpdate,
                          .description = &kDescription};

}  // namespace cni::tuning
