// What a runtime asks of a plugin: read from the environment and stdin, validated as a whole before
// anything acts on it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/os/undo.hpp"
#include "pkg/types/config.hpp"

namespace cni::skel {

// kReconcile and kUpdate are not of the specification (docs/decisions/0065-reconcile.md and
// 0067-update.md).
enum class Command { kAdd, kDel, kCheck, kGc, kStatus, kVersion, kReconcile, kUpdate };
std::string_view to_string(Command command);

// What the message begins with if variables are missing that the command needs; plugins of others
// that know the command say the same.
inline constexpr std::string_view kMissingVariables = "required env variables [";

// Where a call comes from and goes to. Tests and the multi-call executable fill it; plugin code
// never touches the process's own.
struct Io {
  std::vector<std::string> environment;  // "NAME=value"; the last of equal names counts
  int in = 0;
  int out = 1;
  int err = 2;
  std::string run_folder = "/run/cni";  // for locks; made when one is needed
  os::Undo::Observer on_undo_push;      // called after each undo step was pushed
  std::function<void()> before_print;   // called before the result is written
};
// The process's environment and descriptors 0, 1 and 2.
Io process_io();
// Empty if not set.
std::string environment_value(const std::vector<std::string>& environment, std::string_view name);

struct Request {
  Command command = Command::kAdd;
  std::string container_id;
  std::string netns;  // path as given; may be empty for DEL
  std::string ifname;
  std::string args;  // CNI_ARGS
  std::string path;  // CNI_PATH
  bool netns_override = false;
  std::string stdin_data;
  std::vector<std::string> environment;  // what delegates inherit
  int err = 2;                           // descriptor for log text
  NetConf config;
};

// Writes `PLUGIN: TEXT` on the request's stderr, for what the user should know although the call
// succeeds. That nobody reads it is no error.
void warn(const Request& request, std::string_view plugin, std::string_view text);

// CNI_ARGS with the keys that a plugin knows. Throws "ARGS: ..." for malformed pairs, and for
// unknown keys unless IgnoreUnknown is true anywhere in the text. Later duplicates win.
struct ArgsKey {
  std::string_view name;
  std::string* value;
};
void parse_args(std::string_view args, const std::vector<ArgsKey>& known);

// The MAC address given as MAC in CNI_ARGS; absent if there is none. Throws as parse_args does, and
// for anything but a MAC address.
std::optional<Mac> mac_argument(std::string_view args);

// Validation of names, with the messages that the field knows.
void check_container_id(std::string_view id);
void check_ifname(std::string_view name);
void check_network_name(std::string_view name);

}  // namespace cni::skel
