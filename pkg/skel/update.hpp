// UPDATE: a running attachment is changed to what an edited configuration, or other capability
// arguments, ask for (docs/decisions/0067-update.md).
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/os/undo.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/types/result.hpp"
#include "pkg/types/schema.hpp"

namespace cni::skel {

// A key whose value is another one now.
struct Change {
  std::string key;   // "runtimeConfig.bandwidth.ingressRate"
  std::string from;  // JSON; empty: absent
  std::string to;

  // `runtimeConfig.bandwidth.ingressRate: 8000000 to 16000000`
  std::string describe() const;
};

// What a plugin can change of a running attachment.
struct LiveUpdate {
  // The keys that may differ, with all that is below them ("runtimeConfig.bandwidth"). Any other
  // difference is refused before anything is done.
  std::span<const std::string_view> keys;
  // Throws what ADD would say of the new configuration. Touches nothing.
  void (*validate)(const Request& now) = nullptr;
  // Changes the attachment and returns its result, which is prevResult where nothing of it changes.
  // prevResult, the same of both requests, is there, and so is the container. Open connections
  // stay. Pushes undo steps that put back what `was` asks for. An update that was killed may have
  // come before: what is there already, or not there any more, is no error.
  Result (*apply)(const Request& was, const Request& now, os::Undo& undo) = nullptr;
};

// The key of an UPDATE's configuration under which stand `previous`, the configuration that the
// attachment has, and `trial`: true to only say what would change, or why it cannot.
inline constexpr std::string_view kUpdateKey = "cni.dev/update";

// In what two configurations of a plugin differ: by key where both have objects, otherwise as a
// whole. Keys match without regard to case; null, {} and what is absent are equal. Left out is what
// says nothing of the attachment (type, prevResult, capabilities, cni.dev/...) and, of a plugin
// that is described, what it does not read.
std::vector<Change> changes_between(const nlohmann::json& was, const nlohmann::json& now,
                                    const schema::Description* description);

// Throws Code::kCannotUpdate with the first change that is not below one of the keys.
void require_live(std::string_view plugin, std::span<const Change> changes,
                  std::span<const std::string_view> live_keys);

// The configuration that the attachment has, as a request of its own. Throws
// Code::kInvalidNetworkConfig if the request does not bring it.
Request previous_of(const Request& now);
bool is_trial(const Request& now);

// {"cniVersion": ..., "changed": [{"key": ..., "from": ..., "to": ...}], "result": {...}}; without
// the result for a trial.
std::string update_to_json(const std::vector<Change>& changes, const Result* result,
                           std::string_view version);

// UPDATE for address managers: the result with the routes of one configuration in the place of
// those of another; what other plugins have added stays.
Result with_routes(Result result, const std::vector<Route>& was, const std::vector<Route>& now);

struct Updated {
  std::vector<Change> changes;
  std::shared_ptr<const nlohmann::json> result;  // null if the answer has none
};
// What update_to_json wrote. Throws Code::kDecodingFailure.
Updated update_from_json(std::string_view text);

}  // namespace cni::skel
