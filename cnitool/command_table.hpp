// Every command of cnitool with its arguments and options, in one table, from which the command
// line is read, and help, completion and the manual page are made.
#pragma once

#include <span>
#include <string_view>

namespace cni::cnitool {

class Session;
struct Report;

// What an argument or an option's value is completed with.
enum class Complete { kNothing, kNetwork, kNetns, kFile, kFolder, kCommand, kShell };

struct Option {
  std::string_view name;        // without its dashes; unique in the whole table
  char letter = 0;              // 0: no short form
  std::string_view value = {};  // what to write in its place; empty: a switch
  Complete complete = Complete::kNothing;
  std::string_view about;  // a sentence, with default and variable
};

struct Argument {
  std::string_view name;
  bool required = true;
  Complete complete = Complete::kNothing;
  bool repeated = false;  // any number of them; only the last
};

struct Command {
  std::string_view name;  // one word, or two: "cache ls"
  std::string_view about;
  std::span<const Argument> arguments;
  std::span<const std::string_view> options;  // by name, besides those of every command
  std::string_view description;               // paragraphs, separated by empty lines
  std::span<const std::string_view> examples;
  Report (*run)(Session&) = nullptr;
  bool hidden = false;
};

// A variable of the environment, for help and the manual page.
struct Variable {
  std::string_view name;
  std::string_view about;
};

std::span<const Option> all_options();
std::span<const Command> all_commands();
std::span<const Variable> all_variables();
// The options that every command has.
std::span<const std::string_view> common_options();

// Null for an unknown name.
const Option* find_option(std::string_view name);
const Option* find_option(char letter);
const Command* find_command(std::string_view name);

// True if it is one of the command's, or of every command's.
bool takes_option(const Command& command, const Option& option);

}  // namespace cni::cnitool
