// The plugins of one network, called for one attachment or for none; private to libcni.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libcni/runtime.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/version.hpp"

namespace cni::libcni {

// Throws Code::kDecodingFailure.
Version version_of(const Network& network);

// Throws what is wrong with the names of network, container and interface.
void check_names(const Network& network, const ContainerInterface& where);

// `network "n", container "c", interface "eth0"`; the network alone without `where`.
std::string describe(const Network& network, const ContainerInterface* where);

// `plugin type="t" failed (verb)`.
std::string plugin_failed(const PluginConfig& plugin, std::string_view verb);

// The result as the network's version has it: as it is if it has that version, so that nothing of
// it is lost, and otherwise converted.
nlohmann::json in_version(const nlohmann::json& result, std::string_view version);

// The cached result for CHECK, RECONCILE and DEL, in the network's version; absent without one.
std::optional<nlohmann::json> cached_result(const Cache& cache, const Network& network,
                                            const ContainerInterface& where);

// Remembers what the attachment has. Throws as Cache::store.
void store(const Cache& cache, const Network& network, const ContainerInterface& where,
           const nlohmann::json& result);

// The capability arguments as an object.
nlohmann::json capability_args_of(const ContainerInterface& where);

// Null for none.
const nlohmann::json* pointer_to(const std::optional<nlohmann::json>& value);

class Chain {
 public:
  // All of them have to outlive it.
  Chain(const RuntimeSettings& settings, const CallOptions& options, const Network& network,
        const ContainerInterface* where = nullptr);

  std::string call(const PluginConfig& plugin, skel::Command command,
                   const nlohmann::json* prev_result,
                   const std::vector<Attachment>* valid = nullptr,
                   const nlohmann::json* update = nullptr) const;

  // Runs fn for a plugin; an error gets told which plugin and attachment it is about.
  template <class Fn>
  decltype(auto) located(const PluginConfig& plugin, Fn&& fn) const {
    try {
      return fn();
    } catch (Error& error) {
      error.add_detail(cat("plugin ", quote(plugin.type), ", ", describe(network_, where_)));
      throw;
    }
  }

 private:
  const RuntimeSettings& settings_;
  const CallOptions& options_;
  const Network& network_;
  const ContainerInterface* where_;
  std::shared_ptr<const nlohmann::json> capability_args_;
};

// Whether a plugin knows a verb of ours. It is asked about no attachment: ours says which variables
// are missing; and whoever does something for a command that it does not know has nothing to do it
// to.
bool knows_verb(const Chain& about_none, const PluginConfig& plugin, skel::Command verb);

}  // namespace cni::libcni
