#include "libcni/call.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <nlohmann/json.hpp>

#include "pkg/delegate/delegate.hpp"
#include "pkg/os/fd.hpp"
#include "pkg/os/process.hpp"
#include "pkg/types/json.hpp"
#include "pkg/types/version.hpp"

namespace cni::libcni {
namespace {

using nlohmann::json;
using std::chrono::steady_clock;

std::string join(const std::vector<std::string>& texts, char separator) {
  std::string out;
  for (const std::string& text : texts) {
    if (&text != texts.data()) out += separator;
    out += text;
  }
  return out;
}

std::string cni_args(const Arguments& arguments) {
  std::vector<std::string> pairs;
  pairs.reserve(arguments.size());
  for (const auto& [name, value] : arguments) pairs.push_back(cat(name, '=', value));
  return join(pairs, ';');
}

bool is_hex(std::string_view text, std::size_t size) {
  return text.size() == size && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// W3C Trace Context, "traceparent Header": version, trace id, parent id, flags.
bool is_trace_parent(std::string_view text) {
  return text.size() == 55 && is_hex(text.substr(0, 2), 2) && text[2] == '-' &&
         is_hex(text.substr(3, 32), 32) && text[35] == '-' && is_hex(text.substr(36, 16), 16) &&
         text[52] == '-' && is_hex(text.substr(53), 2);
}

// What the caller says of its trace; nothing if it has none.
std::vector<std::string> trace_variables(const Trace& trace) {
  if (!is_trace_parent(trace.parent)) return {};
  std::vector<std::string> out = {cat("TRACEPARENT=", trace.parent)};
  if (!trace.state.empty()) out.push_back(cat("TRACESTATE=", trace.state));
  if (!trace.baggage.empty()) out.push_back(cat("BAGGAGE=", trace.baggage));
  return out;
}

// Those of `inherited` whose variables `own` does not set, then `own`.
std::vector<std::string> override_variables(const std::vector<std::string>& inherited,
                                            std::vector<std::string> own) {
  std::vector<std::string> out;
  for (const std::string& entry : inherited) {
    const std::string name = entry.substr(0, entry.find('=') + 1);
    const bool set = std::any_of(own.begin(), own.end(), [&](const std::string& each) {
      return each.compare(0, name.size(), name) == 0;
    });
    if (!set) out.push_back(entry);
  }
  std::move(own.begin(), own.end(), std::back_inserter(out));
  return out;
}

std::vector<std::string> environment_for(const RuntimeSettings& settings, const Call& call,
                                         const Trace& trace) {
  static const ContainerInterface kNone;
  const ContainerInterface& where = call.where != nullptr ? *call.where : kNone;
  std::vector<std::string> own = {cat("CNI_COMMAND=", skel::to_string(call.command)),
                                  cat("CNI_CONTAINERID=", where.container_id),
                                  cat("CNI_NETNS=", where.netns),
                                  cat("CNI_IFNAME=", where.ifname),
                                  cat("CNI_ARGS=", cni_args(where.arguments)),
                                  cat("CNI_PATH=", join(settings.plugin_folders, ':'))};
  for (std::string& entry : trace_variables(trace)) own.push_back(std::move(entry));
  return override_variables(settings.environment, std::move(own));
}

os::Limits limits_of(const CallOptions& options) {
  os::Limits out;
  if (options.timeout.count() > 0) out.deadline = steady_clock::now() + options.timeout;
  if (options.cancellation != nullptr) out.cancel_fd = options.cancellation->fd();
  return out;
}

Error stopped(std::string_view type, const os::Exit& exit, const CallOptions& options) {
  Error out = delegate::plugin_failure(type, exit);
  out.code = Code::kDelegateFailed;
  out.add_detail(exit.stop == os::Exit::Stop::kTimeout
                     ? cat("it had not ended after ", options.timeout.count(),
                           " ms, and was killed with all that it ran")
                     : "the call was cancelled, and it was killed with all that it ran");
  return out;
}

std::string run(const RuntimeSettings& settings, const CallOptions& options, const Call& call) {
  if (options.cancellation != nullptr && options.cancellation->is_cancelled()) {
    throw Error(Code::kDelegateFailed,
                cat("the call was cancelled before plugin ", call.type, " was run"));
  }
  os::Command command;
  command.path = delegate::find_in_folders(call.type, settings.plugin_folders);
  command.argv = {command.path};
  command.input = call.input;
  command.environment = environment_for(settings, call, options.trace);
  command.process_group = true;
  os::Exit exit = os::Process(command).finish(limits_of(options));
  if (exit.stop != os::Exit::Stop::kNone) throw stopped(call.type, exit, options);
  if (!exit.ok()) throw delegate::plugin_failure(call.type, exit);
  if (!exit.err.empty() && settings.err >= 0) {
    try {
      os::write_all(settings.err, exit.err, "write to stderr");
    } catch (const Error&) {
      // Log text that nobody reads.
    }
  }
  return std::move(exit.out);
}

json attachments_json(const std::vector<Attachment>& valid) {
  json out = json::array();
  for (const Attachment& each : valid) {
    out.push_back({{"containerID", each.container_id}, {"ifname", each.ifname}});
  }
  return out;
}

// Those arguments whose capability the plugin declares.
json runtime_config(const PluginConfig& plugin, const json& capability_args) {
  json out = json::object();
  if (!capability_args.is_object()) return out;
  for (const auto& [name, wanted] : plugin.capabilities) {
    if (wanted && capability_args.contains(name)) out[name] = capability_args.at(name);
  }
  return out;
}

}  // namespace

std::string plugin_input(const Network& network, const PluginConfig& plugin,
                         const json* prev_result, const json& capability_args,
                         const std::vector<Attachment>* valid, const json* update) {
  json out = *plugin.document;
  out["name"] = network.name;
  out["cniVersion"] = network.cni_version;
  if (prev_result != nullptr) out["prevResult"] = *prev_result;
  json arguments = runtime_config(plugin, capability_args);
  if (!arguments.empty()) out["runtimeConfig"] = std::move(arguments);
  if (valid != nullptr) {
    // Plugins that were built before 1.1.0 was final read the second key.
    out["cni.dev/valid-attachments"] = out["cni.dev/attachments"] = attachments_json(*valid);
  }
  if (update != nullptr) out[skel::kUpdateKey] = *update;
  return out.dump();
}

std::string call_plugin(const RuntimeSettings& settings, const CallOptions& options,
                        const Call& call) {
  const auto begin = steady_clock::now();
  const auto report = [&](const Error* error) {
    if (!options.on_run) return;
    options.on_run({.type = std::string(call.type),
                    .command = call.command,
                    .duration = steady_clock::now() - begin,
                    .error = error});
  };
  try {
    std::string out = run(settings, options, call);
    report(nullptr);
    return out;
  } catch (const Error& error) {
    report(&error);
    throw;
  }
}

PluginVersions read_versions(std::string_view answer) {
  const auto document = parse_json(answer, "decoding version info");
  const Reader in(*document);
  PluginVersions out;
  if (!in.optional("cniVersion", out.current) || out.current.empty()) {
    throw Error(Code::kDecodingFailure, "decoding version info: missing field cniVersion");
  }
  if (in.optional("supportedVersions", out.supported) && !out.supported.empty()) return out;
  // Version 0.2.0 had VERSION, but not yet this key.
  if (out.current == "0.2.0") {
    out.supported = {"0.1.0", "0.2.0"};
    return out;
  }
  throw Error(Code::kDecodingFailure, "decoding version info: missing field supportedVersions");
}

}  // namespace cni::libcni
