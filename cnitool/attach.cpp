// add, check, del and status.
#include <nlohmann/json.hpp>

#include "cnitool/commands.hpp"
#include "cnitool/output.hpp"
#include "pkg/types/json.hpp"

namespace cni::cnitool {
namespace {

using nlohmann::json;

// The paths of all plugins of the network, so that none runs if one is not there.
std::vector<std::string> find_plugins(const libcni::Runtime& runtime,
                                      const libcni::Network& network) {
  std::vector<std::string> out;
  for (const libcni::PluginConfig& plugin : network.plugins) {
    out.push_back(context(cat("network ", quote(network.name)),
                          [&] { return runtime.find_plugin(plugin.type); }));
  }
  return out;
}

Report dry_run(const libcni::Network& network, const libcni::ContainerInterface& where,
               const std::vector<std::string>& paths) {
  skel::check_container_id(where.container_id);
  skel::check_network_name(network.name);
  skel::check_ifname(where.ifname);
  Report out;
  json plugins = json::array();
  for (std::size_t i = 0; i < paths.size(); ++i) {
    out.text += cat(network.name, ' ', where.ifname, " ADD ", paths[i], '\n');
    plugins.push_back({{"type", network.plugins[i].type}, {"path", paths[i]}});
  }
  out.document = std::make_shared<json>(json{{"network", network.name},
                                             {"cniVersion", network.cni_version},
                                             {"containerId", where.container_id},
                                             {"ifName", where.ifname},
                                             {"netns", where.netns},
                                             {"plugins", std::move(plugins)}});
  return out;
}

}  // namespace

Report add(Session& session) {
  const libcni::Network network = session.network();
  const libcni::ContainerInterface where = session.where();
  libcni::CallOptions options = session.call_options();
  const libcni::Runtime& runtime = session.runtime();
  const std::vector<std::string> paths = find_plugins(runtime, network);
  if (session.line().has("dry-run")) return dry_run(network, where, paths);

  const libcni::Attached attached = runtime.add(network, where, options);
  Report out;
  out.text = cat(attached.json, '\n');
  out.document = std::make_shared<json>(*parse_json(attached.json, "result"));
  // Nobody knows of an attachment whose result was not printed.
  options.cancellation = nullptr;
  options.keep_going = true;
  out.on_unwritten = [&runtime, network, where, options] { runtime.del(network, where, options); };
  return out;
}

Report check(Session& session) {
  const libcni::Network network = session.network();
  const libcni::ContainerInterface where = session.where();
  session.runtime().check(network, where, session.call_options());
  return {};
}

Report del(Session& session) {
  const libcni::Network network = session.network();
  const libcni::ContainerInterface where = session.where();
  session.runtime().del(network, where, session.call_options());
  return {};
}

Report status(Session& session) {
  const libcni::Network network = session.network();
  context(cat("network ", quote(network.name)),
          [&] { session.runtime().status(network, session.call_options()); });
  return {};
}

}  // namespace cni::cnitool
