#include "libcni/chain.hpp"

#include <nlohmann/json.hpp>

#include "libcni/call.hpp"
#include "pkg/types/json.hpp"

namespace cni::libcni {

using nlohmann::json;

json capability_args_of(const ContainerInterface& where) {
  if (where.capability_args.empty()) return json::object();
  const auto out = parse_json(where.capability_args, "capability arguments");
  if (out->is_object()) return *out;
  throw Reader::wrong_type(Reader(*out, "capability arguments"), "an object");
}

Version version_of(const Network& network) {
  const auto version = Version::parse(network.cni_version);
  if (version) return *version;
  throw Error(Code::kDecodingFailure,
              cat("cniVersion: ", quote(network.cni_version), " is not a version"),
              cat("network ", quote(network.name)));
}

void check_names(const Network& network, const ContainerInterface& where) {
  if (where.container_id.empty()) {
    throw Error(Code::kUnknownContainer, "missing containerID");
  }
  skel::check_container_id(where.container_id);
  skel::check_network_name(network.name);
  skel::check_ifname(where.ifname);
}

std::string describe(const Network& network, const ContainerInterface* where) {
  std::string out = cat("network ", quote(network.name));
  if (where == nullptr) return out;
  return out +
         cat(", container ", quote(where->container_id), ", interface ", quote(where->ifname));
}

std::string plugin_failed(const PluginConfig& plugin, std::string_view verb) {
  return cat("plugin type=", quote(plugin.type),
             plugin.name.empty() ? "" : cat(" name=", quote(plugin.name)), " failed (", verb, ")");
}

json in_version(const json& result, std::string_view version) {
  if (!result.is_object()) throw Reader::wrong_type(Reader(result, "result"), "an object");
  const Reader in(result);
  std::string own;
  in.optional("cniVersion", own);
  if (version_or_default(own) == version_or_default(version)) return result;
  return json::parse(result_to_json(read_result(in, version), version));
}

const json* pointer_to(const std::optional<json>& value) { return value ? &*value : nullptr; }

std::optional<json> cached_result(const Cache& cache, const Network& network,
                                  const ContainerInterface& where) {
  const auto cached = cache.load(network.name, where.container_id, where.ifname);
  if (!cached || cached->result.empty()) return std::nullopt;
  return context(
      cat("failed to convert cached result to config version ", quote(network.cni_version)), [&] {
        const auto result = parse_json(cached->result, "cached result");
        return in_version(*result, network.cni_version);
      });
}

void store(const Cache& cache, const Network& network, const ContainerInterface& where,
           const json& result) {
  context(cat("failed to set network ", quote(network.name), " cached result"), [&] {
    cache.store({.network = network.name,
                 .container_id = where.container_id,
                 .ifname = where.ifname,
                 .netns = where.netns,
                 .network_text = network.text,
                 .arguments = where.arguments,
                 .capability_args = where.capability_args,
                 .result = result.dump(),
                 .file = {}});
  });
}

Chain::Chain(const RuntimeSettings& settings, const CallOptions& options, const Network& network,
             const ContainerInterface* where)
    : settings_(settings),
      options_(options),
      network_(network),
      where_(where),
      capability_args_(std::make_shared<const json>(
          where == nullptr ? json::object() : capability_args_of(*where))) {}

std::string Chain::call(const PluginConfig& plugin, skel::Command command, const json* prev_result,
                        const std::vector<Attachment>* valid, const json* update) const {
  return call_plugin(
      settings_, options_,
      {.type = plugin.type,
       .command = command,
       .input = plugin_input(network_, plugin, prev_result, *capability_args_, valid, update),
       .where = where_});
}

bool knows_verb(const Chain& about_none, const PluginConfig& plugin, skel::Command verb) {
  try {
    (void)about_none.call(plugin, verb, nullptr);
    return false;
  } catch (const Error& error) {
    return error.code == Code::kInvalidEnvironment &&
           error.msg.starts_with(skel::kMissingVariables);
  }
}

}  // namespace cni::libcni
