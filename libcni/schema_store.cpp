#include "libcni/schema_store.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "libcni/schema_table.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/json.hpp"

namespace cni::libcni {

const nlohmann::json& SchemaStore::file(const std::string& name) {
  const auto known = files_.find(name);
  if (known != files_.end()) return *known->second;
  for (const SchemaText& row : schema_table()) {
    if (row.file != name) continue;
    return *files_.emplace(name, parse_json(row.text, name)).first->second;
  }
  throw Error(Code::kInternal, cat("there is no schema ", name));
}

SchemaNode SchemaStore::find(const std::string& reference) {
  const std::size_t hash = std::min(reference.find('#'), reference.size());
  const nlohmann::json& document = file(reference.substr(0, hash));
  const std::string pointer = reference.substr(std::min(hash + 1, reference.size()));
  return {&document.at(nlohmann::json::json_pointer(pointer)), &document};
}

SchemaNode SchemaStore::resolve(const SchemaNode& from, const std::string& reference) {
  if (!reference.starts_with('#')) return find(reference);
  return {&from.file->at(nlohmann::json::json_pointer(reference.substr(1))), from.file};
}

std::vector<std::string> SchemaStore::plugin_names() {
  std::vector<std::string> out;
  for (const SchemaText& row : schema_table()) {
    const std::string name(row.file.substr(0, row.file.rfind('.')));
    if (name != "conf" && name != "conflist") out.push_back(name);
  }
  return out;
}

bool SchemaStore::has_plugin(std::string_view name) {
  const std::vector<std::string> names = plugin_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::vector<std::string> SchemaStore::manager_names() {
  std::vector<std::string> out;
  for (const std::string& name : plugin_names()) {
    if (file(name + ".json").contains("definitions")) out.push_back(name);
  }
  return out;
}

}  // namespace cni::libcni
