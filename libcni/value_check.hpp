// Compares one JSON value with one schema: type, choices, range and form, but nothing below it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "libcni/address_rules.hpp"

namespace cni::libcni {

// Whether the value is of a type that the schema names; true if it names none.
bool has_type(const nlohmann::json& value, const nlohmann::json& schema);

// "expected true or false, got a string", with what to write instead.
Problem type_problem(const nlohmann::json& value, const std::string& path,
                     const nlohmann::json& schema);

// Everything about a value of the right type.
void check_value(const nlohmann::json& value, const std::string& path, const nlohmann::json& schema,
                 const Report& report);

}  // namespace cni::libcni
