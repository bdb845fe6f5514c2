#include <nlohmann/json.hpp>

#include "cnitool/commands.hpp"
#include "cnitool/output.hpp"
#include "pkg/types/json.hpp"

namespace cni::cnitool {
namespace {

using libcni::CachedAttachment;
using libcni::ContainerInterface;
using nlohmann::json;

// Arguments that the line does not give are those that the attachment has.
void complete(ContainerInterface& where, const CachedAttachment& attachment) {
  if (where.arguments.empty()) where.arguments = attachment.arguments;
  if (attachment.capability_args.empty()) return;
  json merged = *parse_json(attachment.capability_args, "remembered capability arguments");
  if (!where.capability_args.empty()) {
    merged.update(*parse_json(where.capability_args, "capability arguments"));
  }
  where.capability_args = merged.dump();
}

json value_of(const std::string& text) { return text.empty() ? json() : json::parse(text); }

std::string cell_of(const std::string& text) { return text.empty() ? "-" : text; }

Report report_of(const Session& session, const libcni::Update& update, bool is_trial) {
  Report out;
  json plugins = json::array();
  std::vector<std::vector<std::string>> rows = {{"PLUGIN", "KEY", "FROM", "TO"}};
  for (const libcni::Update::Plugin& plugin : update.plugins) {
    json changes = json::array();
    for (const skel::Change& each : plugin.changes) {
      rows.push_back({plugin.type, each.key, cell_of(each.from), cell_of(each.to)});
      changes.push_back(
          {{"key", each.key}, {"from", value_of(each.from)}, {"to", value_of(each.to)}});
    }
    plugins.push_back({{"type", plugin.type}, {"changed", std::move(changes)}});
  }
  const Surroundings& surroundings = session.surroundings();
  out.text = update.plugins.empty()
                 ? "nothing to change\n"
                 : format_table(rows, has_colours(surroundings, surroundings.out));
  json document = {{"trial", is_trial}, {"plugins", std::move(plugins)}};
  if (!is_trial) document["result"] = *parse_json(update.json, "result");
  out.document = std::make_shared<json>(std::move(document));
  return out;
}

}  // namespace

Report update(Session& session) {
  const libcni::Network network = session.network();
  ContainerInterface where = session.where();
  const libcni::Runtime& runtime = session.runtime();
  const auto attachment = runtime.cache().load(network.name, where.container_id, where.ifname);
  if (attachment) complete(where, *attachment);
  const bool is_trial = session.line().has("dry-run");
  const libcni::Update update = runtime.update(
      network, where, is_trial ? libcni::Trial::kYes : libcni::Trial::kNo, session.call_options());
  return report_of(session, update, is_trial);
}

}  // namespace cni::cnitool
