// doctor: whether this host has what the plugins need.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "cnitool/commands.hpp"
#include "cnitool/needs.hpp"
#include "cnitool/output.hpp"
#include "cnitool/plugin_versions.hpp"

namespace cni::cnitool {
namespace {

using nlohmann::json;

// A plugin to look at, with the configuration that a network has for it, if it is for one.
struct Patient {
  std::string type;
  json config;  // null: any
};

// In the order of the table, each plugin that is in the plugin folders.
std::vector<Patient> installed(const libcni::Runtime& runtime) {
  std::vector<Patient> out;
  for (const std::string_view type : known_plugins()) {
    try {
      (void)runtime.find_plugin(type);
      out.push_back({std::string(type), nullptr});
    } catch (const Error&) {
      // A node has the plugins that it uses.
    }
  }
  if (!out.empty()) return out;
  throw Error(Code::kInvalidEnvironment, "none of the plugins that are known is there",
              "name their folder with --cni-path or CNI_PATH");
}

std::vector<Patient> those_of(const libcni::Network& network) {
  std::vector<Patient> out;
  for (const libcni::PluginConfig& plugin : network.plugins) {
    if (!plugin.type.empty()) out.push_back({plugin.type, *plugin.document});
    const std::string ipam = ipam_type(plugin);
    if (!ipam.empty()) out.push_back({ipam, *plugin.document});
  }
  return out;
}

struct Finding {
  std::string plugin;  // empty: all of them
  std::string need;
  std::string use;  // empty: always
  bool is_required = true;
  std::string missing;  // why it is not here; empty: it is

  bool is_failure() const { return is_required && !missing.empty(); }
};

class Doctor {
 public:
  explicit Doctor(Session& session)
      : runtime_(session.runtime()), search_path_(session.variable("PATH")) {}

  std::vector<Finding> examine(const std::vector<Patient>& patients) {
    std::vector<Finding> out;
    examine_needs({}, nullptr, out);
    for (const Patient& patient : patients) {
      Finding executable{.plugin = patient.type, .need = "executable"};
      try {
        (void)runtime_.find_plugin(patient.type);
      } catch (const Error& error) {
        executable.missing = error.msg;
      }
      out.push_back(std::move(executable));
      examine_needs(patient.type, patient.config, out);
      if (is_known_plugin(patient.type)) continue;
      out.push_back({.plugin = patient.type,
                     .need = "-",
                     .is_required = false,
                     .missing = "it is not known what this plugin needs"});
    }
    return out;
  }

 private:
  void examine_needs(std::string_view plugin, const json& config, std::vector<Finding>& out) const {
    for (const Need& need : all_needs()) {
      if (need.plugin != plugin) continue;
      // Of a network it is known whether a key is used; of the plugin alone, that it may be.
      const bool can_tell = need.is_used != nullptr && config.is_object();
      if (can_tell && !need.is_used(config)) continue;
      out.push_back({.plugin = std::string(plugin),
                     .need = describe(need, config),
                     .use = std::string(need.use),
                     .is_required = need.use.empty() || can_tell,
                     .missing = missing_here(need, config, search_path_)});
    }
  }

  const libcni::Runtime& runtime_;
  std::string search_path_;
};

std::string state_of(const Finding& finding) {
  if (finding.missing.empty()) return "yes";
  return cat(finding.is_required ? "NO: " : "no: ", finding.missing);
}

json to_json(const Finding& finding) {
  json out = {{"need", finding.need},
              {"required", finding.is_required},
              {"present", finding.missing.empty()}};
  if (!finding.plugin.empty()) out["plugin"] = finding.plugin;
  if (!finding.use.empty()) out["for"] = finding.use;
  if (!finding.missing.empty()) out["reason"] = finding.missing;
  return out;
}

}  // namespace

Report doctor(Session& session) {
  const std::vector<Patient> patients =
      session.line().arguments.empty() ? installed(session.runtime()) : those_of(session.network());
  const std::vector<Finding> findings = Doctor(session).examine(patients);
  Report out;
  json documents = json::array();
  std::vector<std::vector<std::string>> rows = {{"PLUGIN", "NEEDS", "FOR", "HERE"}};
  for (const Finding& finding : findings) {
    documents.push_back(to_json(finding));
    rows.push_back({finding.plugin.empty() ? "all" : finding.plugin, finding.need,
                    finding.use.empty() ? "-" : finding.use, state_of(finding)});
  }
  const auto failures = std::count_if(findings.begin(), findings.end(),
                                      [](const Finding& each) { return each.is_failure(); });
  const Surroundings& surroundings = session.surroundings();
  out.status = failures == 0 ? 0 : 1;
  out.text = format_table(rows, has_colours(surroundings, surroundings.out));
  if (failures != 0) out.text += cat("\nmissing: ", failures, ", marked NO\n");
  out.document =
      std::make_shared<json>(json{{"healthy", failures == 0}, {"needs", std::move(documents)}});
  return out;
}

}  // namespace cni::cnitool
