#include "plugins/meta/tuning/update.hpp"

#include <array>
#include <optional>

#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "plugins/meta/tuning/allowlist.hpp"
#include "plugins/meta/tuning/backup.hpp"
#include "plugins/meta/tuning/config.hpp"

namespace cni::tuning {
namespace {

// Not the MAC address: the plugins before have made rules with it, and neighbours, address managers
// and switches know the container by it.
constexpr std::array<std::string_view, 10> kLiveKeys = {
    "sysctl",          "promisc",          "mtu",          "allmulti",          "txQLen",
    "args.cni.sysctl", "args.cni.promisc", "args.cni.mtu", "args.cni.allmulti", "args.cni.txQLen"};

void validate(const skel::Request& now) { check_allowed(parse(now).sysctl_keys); }

// What the attachment's file says of the interface as it is now.
std::optional<Backup> find_backup(const std::string& path, Container& container) {
  auto backup = read_backup(path);
  const bool counts =
      backup && backup->is_of_namespace(container) && backup->is_of_interface(container);
  return counts ? backup : std::nullopt;
}

// The values that what is not configured any more gets back.
Settings values_to_return(const skel::Request& request, const std::string& path,
                          const Settings& removed, const Settings& original) {
  Settings wanted = removed;
  std::erase_if(wanted.sysctls, [&](const Sysctl& sysctl) {
    return !sysctl.parameter.is_of(request.ifname) && is_shared(path, request, sysctl.parameter);
  });
  const Settings unknown = wanted.without(original);
  if (!unknown.empty()) {
    throw Error(Code::kCannotUpdate,
                cat(unknown.first_key(), " cannot be removed from the configuration of ",
                    request.ifname, ": what it was before is not known"),
                "give it a value instead");
  }
  return original.common_with(wanted);
}

void write_or_remove(const std::string& path, const Backup& backup) {
  if (backup.original.empty()) {
    (void)os::remove_file(path);
  } else {
    write_backup(path, backup);
  }
}

void push_undo(const skel::Request& request, const std::string& path, const Backup& earlier,
               const Settings& before, os::Undo& undo) {
  undo.push(cat("restore the settings of ", request.ifname),
            [netns = request.netns, ifname = request.ifname, path, earlier, before] {
              Container container = open_container(netns, ifname);
              ErrorList errors;
              restore(container, before, errors);
              errors.run([&] { write_or_remove(path, earlier); });
              errors.throw_if_any();
            });
}

Result apply_update(const skel::Request& was, const skel::Request& now, os::Undo& undo) {
  const Config config = parse(now);
  const Settings& wanted = config.settings;
  const Settings configured = parse(was).settings;
  const std::string path = backup_path(config.data_dir, now);
  Container container = open_container(now.netns, now.ifname);

  const auto found = find_backup(path, container);
  Backup backup = new_backup(now, container);
  if (found) backup.original = found->original;
  const Backup earlier = backup;
  Settings target = wanted;
  target.add_missing(values_to_return(now, path, configured.without(wanted), backup.original));

  // What is new has the value from before the attachment if a killed update has remembered it.
  Settings before = configured;
  before.add_missing(backup.original.common_with(target));
  before.add_missing(read_current(container, target));
  push_undo(now, path, earlier, before, undo);

  // What is taken back is remembered until the next UPDATE: this one may be killed, and repeated.
  Settings known = configured;
  known.add_missing(wanted);
  backup.original = backup.original.common_with(known);
  backup.original.add_missing(before.common_with(wanted.without(configured)));
  write_or_remove(path, backup);
  apply(container, target);

  Result result = *now.config.prev_result();
  describe_settings(now.ifname, target, result);
  return result;
}

}  // namespace

constinit const skel::LiveUpdate kUpdate{
    .keys = kLiveKeys, .validate = validate, .apply = apply_update};

}  // namespace cni::tuning
