// The schemas of the suite as JSON, and what can be asked of them.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace cni::libcni {

// A part of a schema, with the file that its references start from.
struct SchemaNode {
  const nlohmann::json* node;
  const nlohmann::json* file;
};

// Parses each file when it is first needed. Not for several threads at once.
class SchemaStore {
 public:
  // "conf.json#/definitions/plugin" or "bridge.json". Throws Code::kInternal if there is none.
  SchemaNode find(const std::string& reference);
  // The same, for a reference that stands in `from`.
  SchemaNode resolve(const SchemaNode& from, const std::string& reference);

  // The plugins that have a schema.
  static std::vector<std::string> plugin_names();
  static bool has_plugin(std::string_view name);
  // The managers of addresses among them.
  std::vector<std::string> manager_names();

 private:
  const nlohmann::json& file(const std::string& name);

  std::map<std::string, std::shared_ptr<const nlohmann::json>> files_;
};

}  // namespace cni::libcni
