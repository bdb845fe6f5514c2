#include "pkg/skel/dispatch.hpp"

#include <fcntl.h>

#include <net/if.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "pkg/ns/netns.hpp"
#include "pkg/os/fd.hpp"
#include "pkg/types/error.hpp"

#ifndef CNI_VERSION
#define CNI_VERSION "version unknown"
#endif

namespace cni::skel {
namespace {

constexpr std::array kCommands = {Command::kAdd,       Command::kDel,    Command::kCheck,
                                  Command::kGc,        Command::kStatus, Command::kVersion,
                                  Command::kReconcile, Command::kUpdate};

std::optional<Command> parse_command(std::string_view text) {
  for (const Command command : kCommands) {
    if (to_string(command) == text) return command;
  }
  return std::nullopt;
}

// Which commands demand a variable. Variables stand in the order in which they are examined and
// reported.
struct Variable {
  std::string_view name;
  std::string Request::*value;
  std::vector<Command> required_by;
  void (*check)(std::string_view value);
};

const std::array<Variable, 5>& variables() {
  using enum Command;
  static const std::array<Variable, 5> kTable = {{
      {"CNI_CONTAINERID",
       &Request::container_id,
       {kAdd, kDel, kCheck, kReconcile, kUpdate},
       check_container_id},
      {"CNI_NETNS", &Request::netns, {kAdd, kCheck, kReconcile, kUpdate}, nullptr},
      {"CNI_IFNAME", &Request::ifname, {kAdd, kDel, kCheck, kReconcile, kUpdate}, check_ifname},
      {"CNI_ARGS", &Request::args, {}, nullptr},
      {"CNI_PATH",
       &Request::path,
       {kAdd, kDel, kCheck, kGc, kStatus, kReconcile, kUpdate},
       nullptr},
  }};
  return kTable;
}

void read_environment(Request& request, std::optional<Command> command) {
  std::string missing;
  for (const Variable& variable : variables()) {
    std::string& value = request.*variable.value;
    value = environment_value(request.environment, variable.name);
    const bool required =
        command && std::find(variable.required_by.begin(), variable.required_by.end(), *command) !=
                       variable.required_by.end();
    if (!required) continue;
    if (value.empty()) {
      missing += cat(missing.empty() ? "" : ",", variable.name);
    } else if (variable.check != nullptr) {
      variable.check(value);
    }
  }
  if (!missing.empty()) {
    throw Error(Code::kInvalidEnvironment, cat(kMissingVariables, missing, "] missing"));
  }
  std::string override_text = environment_value(request.environment, "CNI_NETNS_OVERRIDE");
  for (char& c : override_text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  request.netns_override = override_text == "1" || override_text == "true";
}

std::string describe_versions(std::span<const std::string_view> versions) {
  std::string out;
  for (const std::string_view version : versions) {
    out += cat(out.empty() ? "" : " ", quote(version));
  }
  return out;
}

void check_supported(const Plugin& plugin, const Request& request) {
  if (is_supported(request.config.cni_version, plugin.versions)) return;
  throw Error(Code::kIncompatibleVersion, "incompatible CNI versions",
              cat("config is ", quote(request.config.cni_version), ", plugin supports [",
                  describe_versions(plugin.versions), "]"));
}

// CHECK, GC and STATUS came with later versions of the specification.
void check_allows(const Plugin& plugin, const Request& request, Version first,
                  std::string_view verb) {
  const auto configured = Version::parse(request.config.cni_version);
  if (!configured) {
    throw Error(Code::kDecodingFailure,
                cat("cniVersion: ", quote(request.config.cni_version), " is not a version"));
  }
  if (*configured < first) {
    throw Error(Code::kIncompatibleVersion, cat("config version does not allow ", verb));
  }
  const bool reached =
      std::any_of(plugin.versions.begin(), plugin.versions.end(),
                  [&](std::string_view text) { return *Version::parse(text) >= *configured; });
  if (!reached) {
    throw Error(Code::kIncompatibleVersion, cat("plugin version does not allow ", verb));
  }
}

void check_version(const Plugin& plugin, const Request& request) {
  switch (request.command) {
    case Command::kCheck:
      check_allows(plugin, request, kFirstWithCheck, "CHECK");
      break;
    case Command::kGc:
      check_allows(plugin, request, kFirstWithGc, "GC");
      break;
    case Command::kStatus:
      check_allows(plugin, request, kFirstWithStatus, "STATUS");
      break;
    case Command::kReconcile:
      // It takes what CHECK takes.
      check_allows(plugin, request, kFirstWithCheck, "RECONCILE");
      break;
    case Command::kUpdate:
      check_allows(plugin, request, kFirstWithCheck, "UPDATE");
      break;
    default:
      break;
  }
  check_supported(plugin, request);
}

// ADD and DEL have to act on another namespace than the plugin's own, or they would take the host's
// interfaces apart; and RECONCILE and UPDATE would take the host for a container.
void check_netns(const Request& request) {
  if (request.netns_override || request.netns.empty()) return;
  std::optional<ns::Netns> container;
  try {
    container = ns::Netns::find(request.netns);
  } catch (const Error&) {
    return;  // what cannot be opened is not ours; the plugin says what it makes of it
  }
  if (!container || !container->is_same(ns::Netns::current())) return;
  throw Error(Code::kInvalidNetns, "plugin's netns and netns from CNI_NETNS should not be the same",
              cat("CNI_NETNS is ", request.netns));
}

void print(const Io& io, std::string_view text) { os::write_all(io.out, text, "write to stdout"); }

void print_version(const Plugin& plugin, const Io& io) {
  nlohmann::ordered_json out;
  out["cniVersion"] = kCurrentVersion;
  out["supportedVersions"] = plugin.versions;
  print(io, out.dump() + "\n");
}

void print_about(const Plugin& plugin, const Io& io) {
  std::string versions;
  for (const std::string_view version : plugin.versions) {
    versions += cat(versions.empty() ? "" : ", ", version);
  }
  os::write_all(io.err,
                cat("CNI ", plugin.name, " plugin ", CNI_VERSION,
                    "\nCNI protocol versions supported: ", versions, "\n"),
                "write to stderr");
}

std::string error_json(const Error& error, std::string_view version) {
  nlohmann::ordered_json out;
  out["cniVersion"] = version;
  out["code"] = static_cast<unsigned>(error.code);
  out["msg"] = error.msg;
  if (!error.details.empty()) out["details"] = error.details;
  return out.dump(4, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

// Prints what fn returns. If that fails, or the printing, what fn has done is taken back.
template <class Fn>
void print_or_undo(const Io& io, Fn&& fn) {
  os::Undo undo(io.on_undo_push);
  try {
    const std::string text = fn(undo);
    if (io.before_print) io.before_print();
    print(io, text);
    undo.commit();
  } catch (Error& error) {
    for (const std::string& failure : undo.roll_back()) {
      error.add_detail(cat("undo failed: ", failure));
    }
    throw;
  }
}

void run_add(const Plugin& plugin, const Request& request, const Io& io) {
  print_or_undo(io, [&](os::Undo& undo) {
    return result_to_json(plugin.add(request, undo), request.config.cni_version);
  });
}

// The container's interface, if the result says that there is one.
void require_interface(const Request& request) {
  const ns::Netns container = ns::Netns::open(request.netns);
  const std::vector<Interface>& reported = request.config.prev_result()->interfaces;
  const bool is_reported =
      std::any_of(reported.begin(), reported.end(), [&](const Interface& interface) {
        return interface.name == request.ifname && !interface.sandbox.empty();
      });
  if (!is_reported) return;
  const bool is_there =
      container.run([&] { return ::if_nametoindex(request.ifname.c_str()) != 0; });
  if (is_there) return;
  throw Error(Code::kCheckFailed, cat("interface ", request.ifname, " is not in ", request.netns),
              "nothing is done for a container that is gone");
}

void require_result(const Request& request) {
  if (request.config.prev_result() != nullptr) return;
  throw Error(Code::kInvalidNetworkConfig, "Required prevResult missing",
              cat(to_string(request.command), " needs the result of ADD under the key prevResult"));
}

void run_reconcile(const Plugin& plugin, const Request& request, const Io& io) {
  Restoration restoration(io);
  if (plugin.reconcile != nullptr) {
    require_result(request);
    require_interface(request);
    restoration.run([&] { plugin.reconcile(request, restoration); });
    // The container may have been deleted meanwhile: what DEL removed must not be back for good.
    restoration.finish([&] { require_interface(request); });
  }
  print(io, restoration_to_json(restoration.restored(), request.config.cni_version));
}

void run_update(const Plugin& plugin, const Request& request, const Io& io) {
  const Request was = previous_of(request);
  const std::vector<Change> changes =
      changes_between(*was.config.document, *request.config.document, plugin.description);
  const std::string& version = request.config.cni_version;
  require_live(
      plugin.name, changes,
      plugin.update == nullptr ? std::span<const std::string_view>() : plugin.update->keys);
  if (!changes.empty()) plugin.update->validate(request);
  if (is_trial(request)) {
    print(io, update_to_json(changes, nullptr, version));
    return;
  }
  require_result(request);
  if (changes.empty()) {
    print(io, update_to_json(changes, request.config.prev_result(), version));
    return;
  }
  require_interface(request);
  print_or_undo(io, [&](os::Undo& undo) {
    const Result result = plugin.update->apply(was, request, undo);
    return update_to_json(changes, &result, version);
  });
}

void call(const Plugin& plugin, const Request& request, const Io& io) {
  const auto if_there = [&](void (*verb)(const Request&)) {
    if (verb != nullptr) verb(request);
  };
  switch (request.command) {
    case Command::kAdd:
      run_add(plugin, request, io);
      break;
    case Command::kDel:
      if_there(plugin.del);
      break;
    case Command::kCheck:
      if_there(plugin.check);
      break;
    case Command::kGc:
      if_there(plugin.gc);
      break;
    case Command::kStatus:
      if_there(plugin.status);
      break;
    case Command::kReconcile:
      run_reconcile(plugin, request, io);
      break;
    case Command::kUpdate:
      run_update(plugin, request, io);
      break;
    case Command::kVersion:
      break;  // answered before stdin is read
  }
}

void serve(const Plugin& plugin, const Io& io, Request& request) {
  const std::string text = environment_value(io.environment, "CNI_COMMAND");
  const auto command = parse_command(text);
  read_environment(request, command);
  if (command == Command::kVersion) {
    print_version(plugin, io);
    return;
  }
  request.stdin_data = os::read_all(io.in, "error reading from stdin");
  request.config = NetConf::parse(request.stdin_data);
  check_network_name(request.config.name);
  if (!command) {
    throw Error(Code::kInvalidEnvironment, cat("unknown CNI_COMMAND: ", text));
  }
  request.command = *command;
  check_version(plugin, request);
  const bool lenient = request.command == Command::kDel;
  request.config.read_shared_keys(lenient ? Strictness::kLenient : Strictness::kStrict);
  const bool acts_on_netns = request.command == Command::kAdd || request.command == Command::kDel ||
                             request.command == Command::kReconcile ||
                             request.command == Command::kUpdate;
  if (acts_on_netns) check_netns(request);
  call(plugin, request, io);
}

}  // namespace

int run(const Plugin& plugin, const Io& io) {
  if (environment_value(io.environment, "CNI_COMMAND").empty()) {
    try {
      print_about(plugin, io);
    } catch (const Error&) {
      // Nobody is there to read it.
    }
    return 0;
  }

  Request request;
  request.environment = io.environment;
  request.err = io.err;
  const auto report = [&](const Error& error) {
    try {
      print(io, error_json(error, version_or_default(request.config.cni_version)));
    } catch (const Error&) {
      // stdout is gone; the exit status still tells.
    }
    return 1;
  };
  try {
    serve(plugin, io, request);
    return 0;
  } catch (const Error& error) {
    return report(error);
  } catch (const std::exception& error) {
    return report(Error(Code::kInternal, error.what()));
  }
}

}  // namespace cni::skel
