// A command line, taken apart as the table of commands says.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cnitool/command_table.hpp"
#include "pkg/types/error.hpp"

namespace cni::cnitool {

struct CommandLine {
  const Command* command = nullptr;    // null: none is named
  std::vector<std::string> arguments;  // without the command's own words
  std::map<std::string, std::vector<std::string>, std::less<>> options;  // switches have no values

  bool has(std::string_view option) const { return options.find(option) != options.end(); }
  // The last value; null without one.
  const std::string* value(std::string_view option) const;
  // All values, in their order.
  std::vector<std::string> values(std::string_view option) const;
};

// A command line that cannot be meant. Its message ends with where to look.
class UsageError : public Error {
 public:
  // `command` may be null.
  UsageError(const Command* command, std::string_view message);
};

// Takes the words behind the program's name apart. Options may stand anywhere, also before the
// command; behind "--" nothing is an option. The number of arguments is not checked if help is
// asked for. Throws UsageError.
CommandLine parse_command_line(const std::vector<std::string>& words);

}  // namespace cni::cnitool
