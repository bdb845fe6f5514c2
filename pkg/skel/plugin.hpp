// What a plugin is.
#pragma once

#include <span>
#include <string_view>

#include "pkg/os/undo.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/skel/restoration.hpp"
#include "pkg/skel/update.hpp"
#include "pkg/types/result.hpp"
#include "pkg/types/schema.hpp"
#include "pkg/types/version.hpp"

namespace cni::skel {

struct Plugin {
  std::string_view name;
  // Throws Error on failure; what it pushed on undo is then rolled back. Committed once the result
  // is on stdout.
  Result (*add)(const Request& request, os::Undo& undo) = nullptr;
  // Succeeds for whatever is already gone; goes on after a failure and throws one error at the end.
  void (*del)(const Request& request) = nullptr;
  void (*check)(const Request& request) = nullptr;
  // Null: success without output, as for every verb below.
  void (*status)(const Request& request) = nullptr;
  void (*gc)(const Request& request) = nullptr;
  // Restores what others removed of the attachment's packet filter rules: one
  // restoration.ensure(...) for each kind of them, with what CHECK and ADD do. prevResult is there,
  // and so is the container. Never touches links or addresses.
  void (*reconcile)(const Request& request, Restoration& restoration) = nullptr;
  // What can change while the container runs. Null: nothing.
  const LiveUpdate* update = nullptr;
  // For executables that are more than a plugin (`dhcp daemon`): called if there are arguments; the
  // exit status.
  int (*command)(int argc, char** argv) = nullptr;
  std::span<const std::string_view> versions = kAllVersions;
  // What the plugin does and which keys it has, for schema/. Null: not described.
  const schema::Description* description = nullptr;
};

// The generated table of all plugins.
std::span<const Plugin* const> all_plugins();

}  // namespace cni::skel
