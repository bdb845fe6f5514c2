// One call of one plugin: its configuration, its environment, its end.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "libcni/runtime.hpp"

namespace cni::libcni {

// The configuration that a plugin of the network gets: its object with name and cniVersion of the
// network, prevResult (null: none), the capability arguments that it declares (as runtimeConfig)
// and, for GC, the valid attachments, and, for UPDATE, the section skel::kUpdateKey (null: none).
std::string plugin_input(const Network& network, const PluginConfig& plugin,
                         const nlohmann::json* prev_result, const nlohmann::json& capability_args,
                         const std::vector<Attachment>* valid = nullptr,
                         const nlohmann::json* update = nullptr);

struct Call {
  std::string_view type;
  skel::Command command = skel::Command::kAdd;
  std::string input;
  const ContainerInterface* where = nullptr;  // null: the verb is about none
};

// Runs the plugin and returns its stdout. Throws its error, or says how it ended (see Runtime).
std::string call_plugin(const RuntimeSettings& settings, const CallOptions& options,
                        const Call& call);

// Decodes what a plugin answered to VERSION. Throws Code::kDecodingFailure.
PluginVersions read_versions(std::string_view answer);

}  // namespace cni::libcni
