// JSON values that Catch2 can print.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "test/support/catch.hpp"

namespace cni::test {
using nlohmann::json;
}

namespace Catch {
// Without it Catch2 would print a value as a range of values, which are ranges of values, and so
// on.
template <>
struct StringMaker<nlohmann::json> {
  static std::string convert(const nlohmann::json& value) {
    return value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
  }
};
}  // namespace Catch
