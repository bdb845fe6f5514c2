// Runtime::update.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "libcni/call.hpp"
#include "libcni/chain.hpp"
#include "libcni/runtime.hpp"
#include "pkg/types/json.hpp"

namespace cni::libcni {
namespace {

using nlohmann::json;
using skel::Command;

constexpr std::string_view kDeleteAndAdd =
    "delete and add the attachment, which means to restart the container";

Error cannot_update(std::string message) {
  return {Code::kCannotUpdate, std::move(message), std::string(kDeleteAndAdd)};
}

// One side of an update: what the attachment has, or what it is to have.
struct Side {
  const Network& network;
  const ContainerInterface& where;
  Chain chain;
  json capability_args;

  Side(const RuntimeSettings& settings, const CallOptions& options, const Network& the_network,
       const ContainerInterface& the_where)
      : network(the_network),
        where(the_where),
        chain(settings, options, network, &where),
        capability_args(capability_args_of(where)) {}

  std::string input_of(std::size_t plugin) const {
    return plugin_input(network, network.plugins[plugin], nullptr, capability_args);
  }
};

CachedAttachment remembered(const Cache& cache, const Network& network,
                            const ContainerInterface& where) {
  auto cached = cache.load(network.name, where.container_id, where.ifname);
  if (!cached) {
    throw Error(Code::kUnknownContainer, cat(describe(network, &where),
                                             " is not in the cache: it was never added, or has "
                                             "been deleted"));
  }
  if (cached->network_text.empty() || cached->result.empty()) {
    throw cannot_update(cat(cached->file, " does not tell what the attachment was added with"));
  }
  return *std::move(cached);
}

Network remembered_network(const CachedAttachment& attachment) {
  Network out = context(cat("read the configuration in ", attachment.file),
                        [&] { return parse_network_list(attachment.network_text); });
  if (!out.plugins.empty()) return out;
  throw cannot_update(
      cat(attachment.file,
          " does not tell the plugins of the network, which stand in files of their own"));
}

std::string types_of(const Network& network) {
  std::string out;
  for (const PluginConfig& plugin : network.plugins) {
    out += cat(out.empty() ? "" : ", ", plugin.type);
  }
  return out;
}

void require_same_shape(const CachedAttachment& attachment, const Network& was, const Network& now,
                        const ContainerInterface& where) {
  if (version_or_default(was.cni_version) != version_or_default(now.cni_version)) {
    throw cannot_update(cat("the network's version changed from ", was.cni_version, " to ",
                            now.cni_version, ", which a running attachment cannot"));
  }
  if (types_of(was) != types_of(now)) {
    throw cannot_update(cat("the network's plugins changed from ", types_of(was), " to ",
                            types_of(now), ", which a running attachment cannot"));
  }
  if (attachment.netns != where.netns) {
    throw cannot_update(cat("the container was added with the network namespace ", attachment.netns,
                            ", not ", where.netns));
  }
  if (attachment.arguments != where.arguments) {
    throw cannot_update("the arguments (CNI_ARGS) are not those of the running attachment");
  }
}

// The UPDATE of one plugin.
skel::Updated call_update(const Side& from, const Side& to, std::size_t index, const json& result,
                          Trial trial) {
  const PluginConfig& plugin = to.network.plugins[index];
  const json section = {{"previous", json::parse(from.input_of(index))},
                        {"trial", trial == Trial::kYes}};
  return to.chain.located(plugin, [&] {
    return context(plugin_failed(plugin, "update"), [&] {
      return skel::update_from_json(
          to.chain.call(plugin, Command::kUpdate, &result, nullptr, &section));
    });
  });
}

void require_verb(const Chain& about_none, const Runtime& runtime, const Side& now,
                  std::size_t index) {
  const PluginConfig& plugin = now.network.plugins[index];
  (void)runtime.find_plugin(plugin.type);
  if (knows_verb(about_none, plugin, Command::kUpdate)) return;
  throw cannot_update(cat("the configuration of plugin ", plugin.type, " (number ", index + 1,
                          ") changed, and it cannot change running attachments (it does not know "
                          "UPDATE)"));
}

// Makes those that have changed something change it back, the last one first.
void change_back(const Side& was, const Side& now, std::span<const std::size_t> changed,
                 json result, Error& error) {
  for (auto index = changed.rbegin(); index != changed.rend(); ++index) {
    try {
      const skel::Updated back = call_update(now, was, *index, result, Trial::kNo);
      if (back.result) result = *back.result;
    } catch (const Error& failure) {
      error.add_detail(cat("undo failed: ", failure.what()));
    }
  }
}

// Makes the plugins change the attachment, and its result; `remember` keeps both.
template <class Remember>
void change(const Side& was, const Side& now, std::span<const std::size_t> plugins, json& result,
            Remember&& remember) {
  std::size_t begun = 0;
  try {
    for (const std::size_t index : plugins) {
      ++begun;  // one that fails may have been killed, and left half of it
      const skel::Updated answer = call_update(was, now, index, result, Trial::kNo);
      if (answer.result) result = *answer.result;
    }
    remember();
  } catch (Error& error) {
    change_back(was, now, plugins.first(begun), result, error);
    throw;
  }
}

}  // namespace

Update Runtime::update(const Network& network, const ContainerInterface& where, Trial trial,
                       const CallOptions& options) const {
  check_names(network, where);
  if (version_of(network) < kFirstWithCheck) {
    throw Error(Code::kIncompatibleVersion,
                cat("configuration version ", quote(network.cni_version),
                    " does not support the UPDATE command"),
                cat(describe(network, &where), "; it needs 0.4.0 or newer"));
  }
  const auto lock = cache_.lock(network.name, where.container_id, where.ifname);
  const CachedAttachment attachment = remembered(cache_, network, where);
  const Network network_before = remembered_network(attachment);
  require_same_shape(attachment, network_before, network, where);
  const ContainerInterface where_before = interface_of(attachment);
  CallOptions undoing = options;
  undoing.cancellation = nullptr;
  const Side was(settings_, undoing, network_before, where_before);
  const Side now(settings_, options, network, where);
  json result = *cached_result(cache_, network, where);

  CallOptions quietly = options;
  quietly.on_run = nullptr;
  const Chain about_none(settings_, quietly, network);
  Update out;
  std::vector<std::size_t> differing;
  for (std::size_t index = 0; index < network.plugins.size(); ++index) {
    if (was.input_of(index) == now.input_of(index)) continue;
    require_verb(about_none, *this, now, index);
    skel::Updated answer = call_update(was, now, index, result, Trial::kYes);
    if (answer.changes.empty()) continue;
    differing.push_back(index);
    out.plugins.push_back({network.plugins[index].type, std::move(answer.changes)});
  }
  if (trial == Trial::kYes) return out;
  change(was, now, differing, result, [&] { store(cache_, network, where, result); });
  out.json = result.dump(4);
  return out;
}

}  // namespace cni::libcni
