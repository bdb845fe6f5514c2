#include "libcni/validation.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "libcni/address_rules.hpp"
#include "libcni/json_keys.hpp"
#include "libcni/key_hints.hpp"
#include "libcni/schema_check.hpp"
#include "libcni/schema_store.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/json.hpp"
#include "pkg/types/version.hpp"

namespace cni::libcni {
namespace {

using nlohmann::json;

bool is_list(const json& document, ConfigKind kind) {
  if (kind != ConfigKind::kDetect) return kind == ConfigKind::kList;
  return member(document, "plugins") != nullptr || member(document, "type") == nullptr;
}

// A type that has no schema: nothing can be said about its keys.
void check_type_is_known(const json& object, const std::string& path,
                         const std::vector<std::string>& known, const Report& report) {
  const std::string type = text_member(object, "type");
  if (type.empty() || std::find(known.begin(), known.end(), type) != known.end()) return;
  const auto similar = most_similar(type, known);
  report({Severity::kWarning, path.empty() ? "type" : path + ".type", quote(type),
          cat("there is no schema for the plugin ", quote(type), ", so its keys are not checked"),
          similar ? cat("did you mean ", quote(*similar), "?") : ""});
}

void check_types(const json& plugin, const std::string& path, SchemaStore& store,
                 const Report& report) {
  check_type_is_known(plugin, path, SchemaStore::plugin_names(), report);
  const json* ipam = member(plugin, "ipam");
  if (ipam == nullptr) return;
  check_type_is_known(*ipam, path.empty() ? "ipam" : path + ".ipam", store.manager_names(), report);
}

// An address of each range set: before 0.3.0 a result has one for each family.
void check_one_per_family(const json& plugin, const std::string& path, std::string_view version,
                          const Report& report) {
  const auto parsed = Version::parse(version);
  const json* ipam = member(plugin, "ipam");
  if (!parsed || *parsed >= kFirstWithResultList || ipam == nullptr) return;
  if (text_member(*ipam, "type") != "host-local") return;
  std::vector<RangeAt> ranges = ranges_of(*ipam, path.empty() ? "ipam" : path + ".ipam");
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const bool again = std::any_of(
        ranges.begin(), ranges.begin() + std::ptrdiff_t(i), [&](const RangeAt& earlier) {
          return earlier.set != ranges[i].set && earlier.first.family() == ranges[i].first.family();
        });
    if (!again) continue;
    report({Severity::kError, ranges[i].path, quote(ranges[i].subnet.to_string()),
            cat("CNI version ", version_or_default(version),
                " does not support more than 1 address per family"),
            "use cniVersion 0.3.0 or later"});
  }
}

void check_versions(const json& list, const Report& report) {
  const json* versions = member(list, "cniVersions");
  if (versions == nullptr || !versions->is_array()) return;
  for (std::size_t i = 0; i < versions->size(); ++i) {
    const json& version = (*versions)[i];
    if (!version.is_string() || Version::parse(version.get<std::string>())) continue;
    report({Severity::kError, cat("cniVersions[", i, "]"), shown(version), "not a version",
            "for example \"1.1.0\""});
  }
}

void check_plugins_are_there(const json& list, ConfigKind kind, const Report& report) {
  const json* plugins = member(list, "plugins");
  if (plugins != nullptr) {
    if (!plugins->is_array() || !plugins->empty()) return;
    report({Severity::kError, "plugins", "[]", "no plugins in list", ""});
    return;
  }
  const bool from_folder = kind == ConfigKind::kList && !is_true(list, "loadOnlyInlinedPlugins");
  report({from_folder ? Severity::kWarning : Severity::kError, "plugins", "",
          from_folder ? "the list names no plugins" : "this key is required",
          from_folder ? "they have to be in the folder beside the file that is named after the "
                        "network"
                      : "a list of objects, each with the type of a plugin"});
}

void check_list(const json& list, ConfigKind kind, SchemaStore& store, const Report& report) {
  check_plugins_are_there(list, kind, report);
  check_versions(list, report);
  SchemaCheck(store, report).check(list, "", store.find("conflist.json"));
  const json* plugins = member(list, "plugins");
  if (plugins == nullptr || !plugins->is_array()) return;
  for (std::size_t i = 0; i < plugins->size(); ++i) {
    const std::string path = cat("plugins[", i, "]");
    check_types((*plugins)[i], path, store, report);
    check_one_per_family((*plugins)[i], path, text_member(list, "cniVersion"), report);
  }
}

void check_single(const json& plugin, SchemaStore& store, const Report& report) {
  SchemaCheck(store, report).check(plugin, "", store.find("conf.json"));
  check_types(plugin, "", store, report);
  check_one_per_family(plugin, "", text_member(plugin, "cniVersion"), report);
}

void check_document(std::string_view text, ConfigKind kind, const Report& report) {
  std::shared_ptr<const json> document;
  try {
    document = parse_json(text, "not JSON");
  } catch (const Error& error) {
    report({Severity::kError, "", "", error.msg, ""});
    return;
  }
  if (!document->is_object()) {
    report({Severity::kError, "", shown(*document), "expected an object", ""});
    return;
  }
  for (const std::string& path : repeated_keys(text)) {
    report({Severity::kError, path, "", "this key stands twice in its object",
            "the last one counts: remove the others"});
  }
  SchemaStore store;
  if (is_list(*document, kind)) {
    check_list(*document, kind, store, report);
  } else {
    check_single(*document, store, report);
  }
}

}  // namespace

std::string_view to_string(Severity severity) {
  return severity == Severity::kError ? "error" : "warning";
}

std::string to_string(const Problem& problem) {
  std::string out = cat(to_string(problem.severity), ": ", problem.path,
                        problem.path.empty() ? "" : ": ", problem.sentence);
  std::string more;
  if (!problem.value.empty()) more = cat("value ", problem.value);
  if (!problem.hint.empty()) more += cat(more.empty() ? "" : "; ", "hint: ", problem.hint);
  if (!more.empty()) out += cat(" (", more, ")");
  return out;
}

std::vector<Problem> validate_config(std::string_view text, ConfigKind kind) {
  std::vector<Problem> out;
  check_document(text, kind, [&](Problem problem) {
    // Several parts of a schema may say the same of one value.
    if (std::find(out.begin(), out.end(), problem) == out.end()) out.push_back(std::move(problem));
  });
  return out;
}

}  // namespace cni::libcni
