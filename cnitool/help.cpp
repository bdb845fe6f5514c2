#include "cnitool/help.hpp"

#include <algorithm>

#include "cnitool/commands.hpp"
#include "cnitool/output.hpp"

namespace cni::cnitool {
namespace {

constexpr std::size_t kWidth = 80;

// "  name     text", the text in a column of its own. A long name has a line for itself.
std::string entry(std::string_view name, std::string_view about, std::size_t column) {
  const std::string text = wrapped(about, column, kWidth);
  if (name.size() + 4 > column) return cat("  ", name, '\n', text);
  std::string out = cat("  ", name);
  out.append(column - out.size(), ' ');
  return out + text.substr(column);
}

std::string variables_text() {
  std::string out = "\nEnvironment:\n";
  for (const Variable& variable : all_variables()) out += entry(variable.name, variable.about, 16);
  return out;
}

std::string overview() {
  std::string out =
      "cnitool attaches network namespaces to CNI networks, and looks after them.\n\n"
      "Usage:\n  cnitool COMMAND [arguments] [options]\n\nCommands:\n";
  for (const Command& command : all_commands()) {
    if (!command.hidden) out += entry(command.name, command.about, 16);
  }
  out += variables_text();
  out +=
      "\n"
      "NETWORK is the name of a network of the folder, or the path of a file. The exit\n"
      "status is 1 after an error, and 128 and the signal's number after one that a\n"
      "signal brought about. `cnitool help COMMAND` explains a command.\n";
  return out;
}

}  // namespace

std::string usage_of(const Command& command) {
  std::string out = cat("cnitool ", command.name);
  for (const Argument& argument : command.arguments) {
    const std::string name = cat(argument.name, argument.repeated ? "..." : "");
    out += argument.required ? cat(' ', name) : cat(" [", name, ']');
  }
  return out + " [options]";
}

std::vector<const Option*> options_of(const Command& command) {
  std::vector<const Option*> out;
  for (const Option& option : all_options()) {
    if (takes_option(command, option)) out.push_back(&option);
  }
  return out;
}

std::string spelling(const Option& option) {
  return cat(option.letter != 0 ? cat('-', option.letter, ", ") : "", "--", option.name,
             option.value.empty() ? "" : cat(' ', option.value));
}

std::string help_text(const Command* command) {
  if (command == nullptr) return overview();
  std::string out = cat(command->about, "\n\nUsage:\n  ", usage_of(*command), "\n\n",
                        wrapped(command->description, 0, kWidth), "\nOptions:\n");
  for (const Option* option : options_of(*command)) {
    out += entry(spelling(*option), option->about, 26);
  }
  if (!command->examples.empty()) out += "\nExamples:\n";
  for (const std::string_view example : command->examples) out += cat("  ", example, '\n');
  return out;
}

Report help(Session& session) {
  const std::vector<std::string>& words = session.line().arguments;
  Report out;
  if (words.empty() || (words.size() == 1 && words[0] == "cache")) {
    out.text = help_text(nullptr);
    return out;
  }
  const std::string name = joined(words, " ");
  const Command* command = find_command(name);
  if (command == nullptr) throw UsageError(nullptr, cat("unknown command ", quote(name)));
  out.text = help_text(command);
  return out;
}

}  // namespace cni::cnitool
