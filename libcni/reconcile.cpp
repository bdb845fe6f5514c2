// Runtime::reconcile.
#include <nlohmann/json.hpp>

#include "libcni/chain.hpp"
#include "libcni/runtime.hpp"

namespace cni::libcni {
namespace {

using nlohmann::json;
using skel::Command;

// The attachment of a plugin that does not know the verb.
void check_instead(const Chain& chain, const Network& network, const PluginConfig& plugin,
                   const json* result, Reconciled& out) {
  if (network.disable_check) {
    out.state = Reconciled::State::kUnchecked;
    return;
  }
  try {
    (void)chain.call(plugin, Command::kCheck, result);
  } catch (Error& error) {
    error.add_detail(cat("plugin ", plugin.type,
                         " does not know RECONCILE and CHECK failed; delete and add the attachment "
                         "again, which means to restart the container"));
    throw;
  }
  out.state = Reconciled::State::kChecked;
}

void restore(const Chain& chain, const PluginConfig& plugin, const json* result, Reconciled& out) {
  out.restored = skel::restoration_from_json(chain.call(plugin, Command::kReconcile, result));
  if (!out.restored.empty()) out.state = Reconciled::State::kRestored;
}

}  // namespace

std::string_view to_string(Reconciled::State state) {
  switch (state) {
    case Reconciled::State::kUnchanged:
      return "unchanged";
    case Reconciled::State::kRestored:
      return "restored";
    case Reconciled::State::kFailed:
      return "failed";
    case Reconciled::State::kChecked:
      return "checked";
    case Reconciled::State::kUnchecked:
      break;
  }
  return "unchecked";
}

std::vector<Reconciled> Runtime::reconcile(const Network& network, const ContainerInterface& where,
                                           const CallOptions& options) const {
  check_names(network, where);
  if (version_of(network) < kFirstWithCheck) {
    throw Error(Code::kIncompatibleVersion,
                cat("configuration version ", quote(network.cni_version),
                    " does not support the RECONCILE command"),
                cat(describe(network, &where), "; it needs 0.4.0 or newer"));
  }
  const auto lock = cache_.lock(network.name, where.container_id, where.ifname);
  if (!lock) return {};
  const auto result = context(cat("failed to get network ", quote(network.name), " cached result"),
                              [&] { return cached_result(cache_, network, where); });
  CallOptions quietly = options;
  quietly.on_run = nullptr;
  const Chain about_none(settings_, quietly, network);
  const Chain chain(settings_, options, network, &where);
  std::vector<Reconciled> out;
  for (const PluginConfig& plugin : network.plugins) {
    Reconciled& one = out.emplace_back();
    one.type = plugin.type;
    try {
      chain.located(plugin, [&] {
        (void)find_plugin(plugin.type);
        one.knows_verb = knows_verb(about_none, plugin, Command::kReconcile);
        if (one.knows_verb) {
          restore(chain, plugin, pointer_to(result), one);
        } else {
          check_instead(chain, network, plugin, pointer_to(result), one);
        }
      });
    } catch (const Error& error) {
      one.state = Reconciled::State::kFailed;
      one.error = error;
    }
  }
  return out;
}

}  // namespace cni::libcni
