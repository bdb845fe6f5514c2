#include "libcni/schema_check.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "libcni/key_hints.hpp"
#include "libcni/value_check.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/json.hpp"
#include "pkg/types/schema.hpp"

namespace cni::libcni {
namespace {

using nlohmann::json;

std::string join(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : cat(path, ".", key);
}

// Whether the value fulfils an `if` of our schemas: properties with constants, or with none of
// some.
bool fulfils(const json& value, const json& condition) {
  if (condition.contains("const")) return value == condition["const"];
  if (condition.contains("enum")) {
    const json& allowed = condition["enum"];
    return std::find(allowed.begin(), allowed.end(), value) != allowed.end();
  }
  if (condition.contains("not")) return !fulfils(value, condition["not"]);
  const auto properties = condition.find("properties");
  if (properties == condition.end()) return true;
  for (auto item = properties->begin(); item != properties->end(); ++item) {
    const json* found = member(value, item.key());
    if (found == nullptr || !fulfils(*found, *item)) return false;
  }
  return true;
}

// Keys for people and other software, which no plugin looks at.
bool is_foreign(std::string_view key) {
  return key.starts_with('_') || key.starts_with("cni.dev/") || key == "$schema";
}

const std::string* same_key_of(const std::vector<std::string>& known, std::string_view key) {
  const auto found = std::find_if(known.begin(), known.end(), [&](const std::string& candidate) {
    return same_key(candidate, key);
  });
  return found == known.end() ? nullptr : &*found;
}

}  // namespace

void SchemaCheck::check(const json& value, const std::string& path, const SchemaNode& schema) {
  visit(value, path, {schema});
}

SchemaCheck::Schemas SchemaCheck::applicable(const json& value, const Schemas& schemas) {
  Schemas out;
  Schemas pending = schemas;
  for (std::size_t i = 0; i < pending.size(); ++i) {
    const SchemaNode at = pending[i];
    if (const auto reference = at.node->find("$ref"); reference != at.node->end()) {
      pending.push_back(store_.resolve(at, reference->get<std::string>()));
      continue;
    }
    out.push_back(at);
    const auto parts = at.node->find("allOf");
    if (parts == at.node->end()) continue;
    for (const json& part : *parts) {
      const auto condition = part.find("if");
      if (condition == part.end()) {
        pending.push_back({&part, at.file});
      } else if (fulfils(value, *condition)) {
        pending.push_back({&part["then"], at.file});
      }
    }
  }
  return out;
}

void SchemaCheck::visit(const json& value, const std::string& path, const Schemas& schemas) {
  if (value.is_null()) return;
  const Schemas active = applicable(value, schemas);
  if (!check_type(value, path, active)) return;
  for (const SchemaNode& schema : active) check_value(value, path, *schema.node, report_);
  if (value.is_object()) check_object(value, path, active);
  if (!value.is_array()) return;
  Schemas items;
  for (const SchemaNode& schema : active) {
    const auto found = schema.node->find("items");
    if (found != schema.node->end()) items.push_back({&*found, schema.file});
  }
  for (std::size_t i = 0; i < value.size(); ++i) visit(value[i], cat(path, "[", i, "]"), items);
}

bool SchemaCheck::check_type(const json& value, const std::string& path, const Schemas& schemas) {
  for (const SchemaNode& schema : schemas) {
    if (has_type(value, *schema.node)) continue;
    report_(type_problem(value, path, *schema.node));
    return false;
  }
  return true;
}

void SchemaCheck::check_object(const json& object, const std::string& path,
                               const Schemas& schemas) {
  std::vector<std::string> known;
  for (const SchemaNode& schema : schemas) {
    if (schema.node->value("title", "").starts_with("CNI plugin ")) {
      plugin_ = text_member(object, "type");
      const json* ipam = member(object, "ipam");
      const std::string manager = ipam == nullptr ? "" : text_member(*ipam, "type");
      foreign_manager_ = !manager.empty() && !SchemaStore::has_plugin(manager);
    }
    const auto properties = schema.node->find("properties");
    if (properties == schema.node->end()) continue;
    for (auto item = properties->begin(); item != properties->end(); ++item) {
      if (same_key_of(known, item.key()) == nullptr) known.push_back(item.key());
    }
  }
  check_required(object, path, schemas);
  for (auto item = object.begin(); item != object.end(); ++item) {
    check_member(object, {item.key(), *item, join(path, item.key())}, schemas, known);
  }
  check_rules(object, path, schemas);
}

void SchemaCheck::check_member(const json& object, const Member& at, const Schemas& schemas,
                               const std::vector<std::string>& known) {
  const std::string* name = same_key_of(known, at.key);
  if (name == nullptr) {
    check_unknown(at, schemas, known);
    return;
  }
  if (*name != at.key) {
    const bool is_shadowed = object.contains(*name);
    report_({is_shadowed ? Severity::kError : Severity::kWarning, at.path, shown(at.value),
             is_shadowed ? cat("ignored: the key ", quote(*name), " is there too")
                         : cat("the key is written ", quote(*name)),
             is_shadowed ? "remove one of the two"
                         : "it works here, but not with all software that reads the file"});
    if (is_shadowed) return;
  }
  Schemas below;
  for (const SchemaNode& schema : schemas) {
    const auto properties = schema.node->find("properties");
    if (properties == schema.node->end()) continue;
    const auto found = properties->find(*name);
    if (found != properties->end()) below.push_back({&*found, schema.file});
  }
  visit(at.value, at.path, below);
}

void SchemaCheck::check_unknown(const Member& at, const Schemas& schemas,
                                const std::vector<std::string>& known) {
  if (is_foreign(at.key)) return;
  for (const SchemaNode& schema : schemas) {
    const auto others = schema.node->find("additionalProperties");
    if (others == schema.node->end()) continue;
    if (*others == false) {
      report_({Severity::kError, at.path, shown(at.value), cat("unknown key ", quote(at.key)),
               hint_for_key(store_, at.key, known, plugin_, at.path)});
      return;
    }
    if (others->is_object()) visit(at.value, at.path, {{&*others, schema.file}});
  }
  const bool is_capability = at.path.ends_with("capabilities." + at.key);
  if (!is_capability || foreign_manager_ || !SchemaStore::has_plugin(plugin_)) return;
  const auto similar = most_similar(at.key, known);
  report_({Severity::kWarning, at.path, shown(at.value),
           cat("neither ", plugin_, " nor its ipam knows the capability ", quote(at.key)),
           similar ? cat("did you mean ", quote(*similar), "?") : ""});
}

void SchemaCheck::check_required(const json& object, const std::string& path,
                                 const Schemas& schemas) {
  std::vector<std::string> missing;
  for (const SchemaNode& schema : schemas) {
    const auto required = schema.node->find("required");
    if (required == schema.node->end()) continue;
    for (const json& name : *required) {
      const auto key = name.get<std::string>();
      const json* found = member(object, key);
      const bool is_there = found != nullptr && *found != "";
      if (!is_there && same_key_of(missing, key) == nullptr) missing.push_back(key);
    }
  }
  for (const std::string& key : missing) {
    report_({Severity::kError, join(path, key), "", "this key is required", ""});
  }
}

void SchemaCheck::check_rules(const json& object, const std::string& path, const Schemas& schemas) {
  for (const SchemaNode& schema : schemas) {
    if (const auto conflict = schema.node->find("x-cni-conflict"); conflict != schema.node->end()) {
      const auto first = conflict->at(0).get<std::string>();
      const auto second = conflict->at(1).get<std::string>();
      const schema::Rule rule{.first_condition = first, .second_condition = second};
      const Reader in(object);
      if (!schema::is_broken(in, rule)) continue;
      report_({Severity::kError, join(path, first), shown(*member(object, first)),
               schema.node->at("errorMessage").get<std::string>(),
               schema::describe_conflict(in, rule)});
    }
    const auto rules = schema.node->find("x-cni-rules");
    if (rules == schema.node->end()) continue;
    for (const json& rule : *rules) {
      check_address_rule(rule["name"].get<std::string>(), object, path, report_);
    }
  }
}

}  // namespace cni::libcni
