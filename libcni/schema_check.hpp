// Compares a JSON value with a schema and reports every difference. Knows the part of JSON Schema
// that schema/ uses, and reads as plugins do: keys match without regard to case, null and, for
// texts of a certain form, "" count as absent.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "libcni/address_rules.hpp"
#include "libcni/schema_store.hpp"

namespace cni::libcni {

class SchemaCheck {
 public:
  SchemaCheck(SchemaStore& store, Report report) : store_(store), report_(std::move(report)) {}

  // Checks the value at a path against a schema, and all below it.
  void check(const nlohmann::json& value, const std::string& path, const SchemaNode& schema);

 private:
  using Schemas = std::vector<SchemaNode>;
  // A key of an object, with all that is said about it.
  struct Member {
    const std::string& key;
    const nlohmann::json& value;
    std::string path;
  };

  // The parts of the schemas that apply to the value: references followed, conditions decided.
  Schemas applicable(const nlohmann::json& value, const Schemas& schemas);
  void visit(const nlohmann::json& value, const std::string& path, const Schemas& schemas);
  bool check_type(const nlohmann::json& value, const std::string& path, const Schemas& schemas);
  void check_object(const nlohmann::json& object, const std::string& path, const Schemas& schemas);
  void check_member(const nlohmann::json& object, const Member& member, const Schemas& schemas,
                    const std::vector<std::string>& known);
  void check_unknown(const Member& member, const Schemas& schemas,
                     const std::vector<std::string>& known);
  void check_required(const nlohmann::json& object, const std::string& path,
                      const Schemas& schemas);
  void check_rules(const nlohmann::json& object, const std::string& path, const Schemas& schemas);

  SchemaStore& store_;
  Report report_;
  std::string plugin_;            // the type of the plugin that is being looked at
  bool foreign_manager_ = false;  // its addresses come from a plugin without a schema
};

}  // namespace cni::libcni
