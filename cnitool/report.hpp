// What a command has to say, in both forms.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace cni::cnitool {

struct Report {
  std::string text;  // for stdout; with --json the document is printed instead
  std::shared_ptr<nlohmann::json> document;  // an object; null: {}
  int status = 0;
  std::function<void()> on_unwritten;  // called if stdout could not be written, may be empty
};

}  // namespace cni::cnitool
