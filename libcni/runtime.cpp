#include "libcni/runtime.hpp"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "libcni/call.hpp"
#include "libcni/chain.hpp"
#include "pkg/delegate/delegate.hpp"
#include "pkg/types/json.hpp"
#include "pkg/types/version.hpp"

namespace cni::libcni {
namespace {

using nlohmann::json;
using skel::Command;

// What an ADD printed; one without version has the network's.
json added_result(std::string_view out, std::string_view version) {
  json result = *parse_json(out, "failed to unmarshal raw result");
  if (result.is_null()) result = json::object();
  if (!result.is_object()) {
    throw Error(Code::kDecodingFailure,
                cat("failed to unmarshal raw result: expected an object, got ", out));
  }
  std::string own;
  Reader(result).optional("cniVersion", own);
  if (own.empty()) result["cniVersion"] = version_or_default(version);
  return result;
}

std::vector<std::string> own_environment() {
  std::vector<std::string> out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    out.emplace_back(*entry);
  }
  return out;
}

// How far an ADD has come.
struct Added {
  std::optional<json> result;  // of the last plugin that succeeded
  std::size_t plugins = 0;     // that were run, the failed one included
};

// ADD of all plugins. What has been done so far stands in `added`, also after an error.
void add_all(const Chain& chain, const Runtime& runtime, const Network& network, Added& added) {
  for (const PluginConfig& plugin : network.plugins) {
    chain.located(plugin, [&] {
      context(plugin_failed(plugin, "add"), [&] {
        const json prev = added.result ? in_version(*added.result, network.cni_version) : json();
        // One that is not there needs no DEL.
        (void)runtime.find_plugin(plugin.type);
        ++added.plugins;
        added.result = added_result(
            chain.call(plugin, Command::kAdd, added.result ? &prev : nullptr), network.cni_version);
      });
    });
  }
  if (added.result) return;
  throw Error(Code::kInvalidNetworkConfig, cat("network ", quote(network.name), " has no plugins"),
              "its plugins list needs at least one");
}

// DEL of the first `count` plugins, the last of them first.
void del_first(const Chain& chain, const Network& network, std::size_t count,
               const json* prev_result, bool keep_going) {
  ErrorList errors;
  while (count-- > 0) {
    const PluginConfig& plugin = network.plugins[count];
    errors.run([&] {
      chain.located(plugin, [&] {
        return context(plugin_failed(plugin, "delete"),
                       [&] { return chain.call(plugin, Command::kDel, prev_result); });
      });
    });
    if (!errors.empty() && !keep_going) break;
  }
  errors.throw_if_any();
}

// For DEL: one that cannot be used is thrown away.
std::optional<json> cached_result_if_usable(const Cache& cache, const Network& network,
                                            const ContainerInterface& where) {
  if (version_of(network) < kFirstWithCheck) return std::nullopt;
  try {
    return cached_result(cache, network, where);
  } catch (const Error&) {
    (void)cache.remove(network.name, where.container_id, where.ifname);
    return std::nullopt;
  }
}

// Keeps a reconcile out meanwhile. One that cannot be locked is deleted all the same.
std::optional<os::FileLock> lock_attachment(const Cache& cache, const Network& network,
                                            const ContainerInterface& where) {
  try {
    return cache.lock(network.name, where.container_id, where.ifname);
  } catch (const Error&) {
    return std::nullopt;
  }
}

// Whether an ADD of this attachment succeeded before, and no DEL since.
bool is_cached(const Cache& cache, const Network& network, const ContainerInterface& where) {
  try {
    return cache.load(network.name, where.container_id, where.ifname).has_value();
  } catch (const Error&) {
    return true;  // the file is there, though it cannot be read
  }
}

// Deletes again what a failed ADD has made; the error gets told what could not be.
void take_back(const Chain& chain, const Network& network, const Added& added, Error& error) {
  const bool passes_result = version_of(network) >= kFirstWithCheck;
  try {
    del_first(chain, network, added.plugins, passes_result ? pointer_to(added.result) : nullptr,
              true);
  } catch (const Error& failure) {
    error.add_detail(cat("undo failed: ", failure.what()));
  }
}

}  // namespace

ContainerInterface interface_of(const CachedAttachment& attachment) {
  return {.container_id = attachment.container_id,
          .netns = attachment.netns,
          .ifname = attachment.ifname,
          .arguments = attachment.arguments,
          .capability_args = attachment.capability_args};
}

Runtime::Runtime(RuntimeSettings settings)
    : settings_(std::move(settings)), cache_(settings_.cache_folder) {
  if (settings_.environment.empty()) settings_.environment = own_environment();
}

Attached Runtime::add(const Network& network, const ContainerInterface& where,
                      const CallOptions& options) const {
  check_names(network, where);
  (void)cache_.path_of(network.name, where.container_id, where.ifname);
  const Chain chain(settings_, options, network, &where);
  const bool is_attached = is_cached(cache_, network, where);
  Added added;
  try {
    add_all(chain, *this, network, added);
    Attached out{.result = read_result(Reader(*added.result), network.cni_version),
                 .json = added.result->dump(4)};
    store(cache_, network, where, *added.result);
    return out;
  } catch (Error& error) {
    if (!options.undo_on_failure) throw;
    if (is_attached) {
      error.add_detail("it was attached before, and stays so; del comes before another add");
    } else {
      CallOptions undoing = options;
      undoing.cancellation = nullptr;
      take_back(Chain(settings_, undoing, network, &where), network, added, error);
    }
    throw;
  }
}

void Runtime::check(const Network& network, const ContainerInterface& where,
                    const CallOptions& options) const {
  check_names(network, where);
  if (version_of(network) < kFirstWithCheck) {
    throw Error(Code::kIncompatibleVersion,
                cat("configuration version ", quote(network.cni_version),
                    " does not support the CHECK command"),
                describe(network, &where));
  }
  if (network.disable_check) return;
  const auto result = context(cat("failed to get network ", quote(network.name), " cached result"),
                              [&] { return cached_result(cache_, network, where); });
  const Chain chain(settings_, options, network, &where);
  for (const PluginConfig& plugin : network.plugins) {
    chain.located(plugin, [&] { return chain.call(plugin, Command::kCheck, pointer_to(result)); });
  }
}

void Runtime::del(const Network& network, const ContainerInterface& where,
                  const CallOptions& options) const {
  check_names(network, where);
  const auto lock = lock_attachment(cache_, network, where);
  const auto result = cached_result_if_usable(cache_, network, where);
  del_first(Chain(settings_, options, network, &where), network, network.plugins.size(),
            pointer_to(result), options.keep_going);
  (void)cache_.remove(network.name, where.container_id, where.ifname);
}

void Runtime::gc(const Network& network, const std::vector<Attachment>& valid,
                 const CallOptions& options) const {
  if (network.disable_gc) return;
  skel::check_network_name(network.name);
  ErrorList errors;
  for (const CachedAttachment& stale : stale_attachments(network, valid)) {
    errors.run([&] { del(network, interface_of(stale), options); });
  }
  if (version_of(network) >= kFirstWithGc) {
    const Chain chain(settings_, options, network);
    for (const PluginConfig& plugin : network.plugins) {
      errors.run([&] {
        chain.located(plugin, [&] {
          return context(plugin_failed(plugin, "gc"),
                         [&] { return chain.call(plugin, Command::kGc, nullptr, &valid); });
        });
      });
    }
  }
  errors.throw_if_any();
}

std::vector<CachedAttachment> Runtime::stale_attachments(
    const Network& network, const std::vector<Attachment>& valid) const {
  std::vector<CachedAttachment> out;
  for (CachedAttachment& each : cache_.list()) {
    const bool stale =
        each.network == network.name && !is_valid_attachment(valid, each.container_id, each.ifname);
    if (stale) out.push_back(std::move(each));
  }
  return out;
}

void Runtime::status(const Network& network, const CallOptions& options) const {
  if (version_of(network) < kFirstWithStatus) return;
  const Chain chain(settings_, options, network);
  for (const PluginConfig& plugin : network.plugins) {
    chain.located(plugin, [&] { return chain.call(plugin, Command::kStatus, nullptr); });
  }
}

std::vector<std::string> Runtime::validate(const Network& network,
                                           const CallOptions& options) const {
  const std::string version(version_or_default(network.cni_version));
  std::set<std::string> capabilities;
  std::map<std::string, bool> asked;
  std::string objections;
  Code code = Code::kUnknown;
  const auto object = [&](Code why, std::string_view sentence) {
    if (objections.empty()) code = why;
    objections += cat(objections.empty() ? "" : " ", sentence);
  };
  for (const PluginConfig& plugin : network.plugins) {
    for (const auto& [name, wanted] : plugin.capabilities) {
      if (wanted) capabilities.insert(name);
    }
    if (!asked.emplace(plugin.type, true).second) continue;
    try {
      const std::vector<std::string> supported = this->version(plugin.type, options).supported;
      if (std::find(supported.begin(), supported.end(), version) != supported.end()) continue;
      object(Code::kIncompatibleVersion,
             cat("plugin ", plugin.type, " does not support config version ", quote(version)));
    } catch (const Error& error) {
      object(error.code, error.what());
    }
  }
  if (!objections.empty()) {
    throw Error(code, cat('[', objections, ']'), describe(network, nullptr));
  }
  return {capabilities.begin(), capabilities.end()};
}

PluginVersions Runtime::version(std::string_view type, const CallOptions& options) const {
  static const ContainerInterface kDummy{.container_id = "dummy",
                                         .netns = "dummy",
                                         .ifname = "dummy",
                                         .arguments = {},
                                         .capability_args = {}};
  try {
    return read_versions(call_plugin(settings_, options,
                                     {.type = type,
                                      .command = Command::kVersion,
                                      .input = json{{"cniVersion", kCurrentVersion}}.dump(),
                                      .where = &kDummy}));
  } catch (Error& error) {
    // Plugins of before 0.2.0 do not know the verb.
    if (error.msg == "unknown CNI_COMMAND: VERSION") return {"0.1.0", {"0.1.0"}};
    error.prepend(cat("plugin ", type));
    throw;
  }
}

std::string Runtime::find_plugin(std::string_view type) const {
  return delegate::find_in_folders(type, settings_.plugin_folders);
}

}  // namespace cni::libcni
