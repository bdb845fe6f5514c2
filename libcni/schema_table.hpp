// The texts of schema/*.json, as they were when this was built.
#pragma once

#include <span>
#include <string_view>

namespace cni::libcni {

struct SchemaText {
  std::string_view file;  // "bridge.json"
  std::string_view text;
};

std::span<const SchemaText> schema_table();

}  // namespace cni::libcni
