// Writes JSON Schema (draft-07, which editors know best) from the plugins' descriptions.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "pkg/skel/plugin.hpp"
#include "pkg/types/schema.hpp"

namespace cni::schema_files {

// The schema of an object's keys and rules.
nlohmann::ordered_json object_schema(const schema::Object& object);

// All files by name: NAME.json for each plugin that describes itself, conf.json for the
// configuration of a single plugin, conflist.json for a configuration list.
std::map<std::string, std::string> write_all(std::span<const skel::Plugin* const> plugins);

}  // namespace cni::schema_files
