#include <algorithm>
#include <nlohmann/json.hpp>

#include "cnitool/commands.hpp"
#include "cnitool/output.hpp"
#include "libcni/discovery.hpp"
#include "pkg/ns/netns.hpp"
#include "pkg/os/file.hpp"

namespace cni::cnitool {
namespace {

using libcni::CachedAttachment;
using libcni::Reconciled;
using nlohmann::json;

// What became of one attachment.
struct Outcome {
  CachedAttachment attachment;
  std::string state;  // of a plugin (see Reconciled), or "gone"
  std::vector<Reconciled> plugins;
  std::vector<Error> errors;
};

bool is_wanted(const std::vector<std::string>& names, std::string_view network) {
  return names.empty() || std::find(names.begin(), names.end(), network) != names.end();
}

// Of a file that cannot be read only its name tells.
bool may_be_wanted(const std::vector<std::string>& names, std::string_view file) {
  const std::string_view name = file.substr(file.rfind('/') + 1);
  return names.empty() || std::any_of(names.begin(), names.end(), [&](const std::string& each) {
           return name.starts_with(cat(each, '-'));
         });
}

// The network as it was when the attachment was made, since that is what is to be as it was then.
// The folder is needed for what the remembered text lacks: plugins in files of their own.
libcni::Network network_of(Session& session, const CachedAttachment& attachment) {
  std::optional<libcni::Network> present;
  try {
    present = libcni::find_network(session.conf_dir(true), attachment.network);
  } catch (const Error&) {
    if (attachment.network_text.empty()) throw;
  }
  if (present && attachment.network_text.empty()) return *std::move(present);
  if (present && present->text == attachment.network_text) return *std::move(present);
  libcni::Network out = libcni::parse_network_list(attachment.network_text);
  if (!out.plugins.empty()) return out;
  if (present) return *std::move(present);
  throw Error(Code::kInvalidNetworkConfig,
              cat("what is remembered of network ", quote(attachment.network), " has no plugins"));
}

bool is_gone(const CachedAttachment& attachment) {
  return !attachment.netns.empty() && !ns::Netns::find(attachment.netns);
}

// The most remarkable of its plugins' states.
std::string state_of(const std::vector<Reconciled>& plugins) {
  using State = Reconciled::State;
  for (const State state : {State::kFailed, State::kRestored, State::kUnchecked, State::kChecked}) {
    const bool has = std::any_of(plugins.begin(), plugins.end(),
                                 [&](const Reconciled& each) { return each.state == state; });
    if (has) return std::string(to_string(state));
  }
  return std::string(to_string(State::kUnchanged));
}

Outcome reconcile_one(Session& session, CachedAttachment attachment,
                      const libcni::CallOptions& options) {
  Outcome out{.attachment = std::move(attachment), .state = "gone", .plugins = {}, .errors = {}};
  if (is_gone(out.attachment)) return out;
  try {
    out.plugins = session.runtime().reconcile(network_of(session, out.attachment),
                                              libcni::interface_of(out.attachment), options);
    if (!out.plugins.empty()) out.state = state_of(out.plugins);
    for (const Reconciled& each : out.plugins) {
      if (each.error) out.errors.push_back(*each.error);
    }
  } catch (const Error& error) {
    out.state = to_string(Reconciled::State::kFailed);
    out.errors.push_back(error);
  }
  return out;
}

// A container runtime that does not take the lock may have deleted the attachment just when its
// rules were restored. Without its namespace nobody is about to add it again.
void delete_if_gone(Session& session, Outcome& outcome, libcni::CallOptions options) {
  const CachedAttachment& attachment = outcome.attachment;
  const bool was_restored =
      std::any_of(outcome.plugins.begin(), outcome.plugins.end(),
                  [](const Reconciled& each) { return !each.restored.empty(); });
  if (!was_restored || !is_gone(attachment)) return;
  if (os::is_regular_file(attachment.file)) return;  // its DEL is still to come
  outcome.state = "gone";
  options.keep_going = true;
  try {
    session.runtime().del(network_of(session, attachment), libcni::interface_of(attachment),
                          options);
  } catch (const Error& error) {
    outcome.errors.push_back(error);
  }
}

json plugin_document(const Reconciled& plugin) {
  json out = {{"type", plugin.type},
              {"state", to_string(plugin.state)},
              {"knowsReconcile", plugin.knows_verb},
              {"restored", json::array()}};
  for (const skel::Restored& each : plugin.restored) {
    out["restored"].push_back({{"what", each.what}, {"missing", each.missing}});
  }
  if (plugin.error) out["error"] = error_json(*plugin.error);
  return out;
}

json document_of(const Outcome& outcome) {
  json out = {{"network", outcome.attachment.network},
              {"containerId", outcome.attachment.container_id},
              {"ifName", outcome.attachment.ifname},
              {"netns", outcome.attachment.netns},
              {"state", outcome.state},
              {"plugins", json::array()},
              {"errors", json::array()}};
  for (const Reconciled& each : outcome.plugins) out["plugins"].push_back(plugin_document(each));
  for (const Error& each : outcome.errors) out["errors"].push_back(error_json(each));
  return out;
}

std::vector<std::string> row_of(const Outcome& outcome) {
  std::vector<std::string> restored;
  for (const Reconciled& plugin : outcome.plugins) {
    for (const skel::Restored& each : plugin.restored) {
      restored.push_back(cat(plugin.type, ": ", each.what));
    }
  }
  const CachedAttachment& attachment = outcome.attachment;
  return {attachment.network, attachment.container_id, attachment.ifname, outcome.state,
          restored.empty() ? "-" : joined(restored, ", ")};
}

Error unreadable_error(const std::string& file) {
  return Error(Code::kDecodingFailure,
               cat(file, " is not what is remembered of an attachment, which was left alone"),
               "cnitool cache prune removes it");
}

// The names of the networks that the line has, some perhaps as paths of files. One that neither an
// attachment nor a file has is misspelt.
std::vector<std::string> wanted_names(Session& session,
                                      const std::vector<CachedAttachment>& attachments) {
  std::vector<std::string> out;
  for (const std::string& name : session.line().arguments) {
    const bool is_known =
        std::any_of(attachments.begin(), attachments.end(),
                    [&](const CachedAttachment& each) { return each.network == name; });
    out.push_back(is_known ? name : session.find_network(name).name);
  }
  return out;
}

Report dry_run(Session& session, const std::vector<CachedAttachment>& attachments) {
  Report out;
  json calls = json::array();
  for (const CachedAttachment& each : attachments) {
    if (is_gone(each)) continue;
    for (const libcni::PluginConfig& plugin : network_of(session, each).plugins) {
      const std::string path = session.runtime().find_plugin(plugin.type);
      out.text +=
          cat(each.network, ' ', each.container_id, '/', each.ifname, " RECONCILE ", path, '\n');
      calls.push_back({{"network", each.network},
                       {"containerId", each.container_id},
                       {"ifName", each.ifname},
                       {"type", plugin.type},
                       {"path", path}});
    }
  }
  out.document = std::make_shared<json>(json{{"calls", std::move(calls)}});
  return out;
}

Report report_of(const Session& session, const std::vector<Outcome>& outcomes,
                 const std::vector<std::string>& unreadable) {
  Report out;
  json attachments = json::array();
  std::vector<Error> errors;
  std::vector<std::vector<std::string>> rows = {
      {"NETWORK", "CONTAINER", "INTERFACE", "STATE", "RESTORED"}};
  for (const Outcome& each : outcomes) {
    attachments.push_back(document_of(each));
    rows.push_back(row_of(each));
    errors.insert(errors.end(), each.errors.begin(), each.errors.end());
  }
  for (const std::string& file : unreadable) errors.push_back(unreadable_error(file));
  const Surroundings& surroundings = session.surroundings();
  if (!session.line().has("json")) {
    for (const Error& each : errors) print_error(surroundings, each);
  }
  out.text = outcomes.empty() ? "no attachment is remembered\n"
                              : format_table(rows, has_colours(surroundings, surroundings.out));
  out.document = std::make_shared<json>(
      json{{"attachments", std::move(attachments)}, {"unreadable", unreadable}});
  out.status = errors.empty() ? 0 : 1;
  return out;
}

}  // namespace

Report reconcile(Session& session) {
  const libcni::CallOptions options = session.call_options();
  std::vector<std::string> unreadable;
  std::vector<CachedAttachment> attachments = session.runtime().cache().list(&unreadable);
  const std::vector<std::string> names = wanted_names(session, attachments);
  std::erase_if(attachments,
                [&](const CachedAttachment& each) { return !is_wanted(names, each.network); });
  std::erase_if(unreadable, [&](const std::string& file) { return !may_be_wanted(names, file); });
  if (session.line().has("dry-run")) return dry_run(session, attachments);

  std::vector<Outcome> outcomes;
  for (CachedAttachment& each : attachments) {
    outcomes.push_back(reconcile_one(session, std::move(each), options));
  }
  for (Outcome& each : outcomes) delete_if_gone(session, each, options);
  return report_of(session, outcomes, unreadable);
}

}  // namespace cni::cnitool
