// Completion scripts for bash, zsh and fish, from the table of commands.
#include "cnitool/commands.hpp"
#include "cnitool/help.hpp"
#include "cnitool/output.hpp"

namespace cni::cnitool {
namespace {

// The command's options as words: "--ifname -i".
std::string option_words(const Command& command) {
  std::vector<std::string> out;
  for (const Option* option : options_of(command)) {
    out.push_back(cat("--", option->name));
    if (option->letter != 0) out.push_back(cat('-', option->letter));
  }
  return joined(out, " ");
}

bool has_two_words(const Command& command) {
  return command.name.find(' ') != std::string_view::npos;
}

std::string first_word(std::string_view name) {
  return std::string(name.substr(0, name.find(' ')));
}

// The first words of all commands, each once.
std::vector<std::string> first_words() {
  std::vector<std::string> out;
  for (const Command& command : all_commands()) {
    const std::string word = first_word(command.name);
    if (!command.hidden && (out.empty() || out.back() != word)) out.push_back(word);
  }
  return out;
}

// The second words behind a first one.
std::vector<std::string> second_words(std::string_view first) {
  std::vector<std::string> out;
  for (const Command& command : all_commands()) {
    if (has_two_words(command) && first_word(command.name) == first) {
      out.emplace_back(command.name.substr(first.size() + 1));
    }
  }
  return out;
}

// In single quotes, for all three shells.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// ---- bash

std::string bash_reply(Complete complete) {
  switch (complete) {
    case Complete::kNetwork:
      return R"SH(COMPREPLY=($(compgen -W "$(cnitool __networks "${settings[@]}" 2>/dev/null)" )SH"
             R"SH(-- "$word"; compgen -f -- "$word")))SH";
    case Complete::kNetns:
      return R"SH(COMPREPLY=($(compgen -W "$(compgen -G "/run/netns/*")" -- "$word"; )SH"
             R"SH(compgen -f -- "$word")))SH";
    case Complete::kFile:
      return R"SH(COMPREPLY=($(compgen -f -- "$word")))SH";
    case Complete::kFolder:
      return R"SH(COMPREPLY=($(compgen -d -- "$word")))SH";
    case Complete::kCommand:
      return cat("COMPREPLY=($(compgen -W ", quoted(joined(first_words(), " ")),
                 R"SH( -- "$word")))SH");
    case Complete::kShell:
      return R"SH(COMPREPLY=($(compgen -W 'bash zsh fish' -- "$word")))SH";
    case Complete::kNothing:
      break;
  }
  return "COMPREPLY=()";
}

// The cases for what stands behind an option that takes a value.
std::string bash_values() {
  std::string out;
  for (const Option& option : all_options()) {
    if (option.value.empty()) continue;
    out += cat("    --", option.name, option.letter != 0 ? cat(" | -", option.letter) : "", ")\n");
    // The networks are those of the folder that the line names.
    out += cat("      ", bash_reply(option.complete), "\n      return\n      ;;\n");
  }
  return out;
}

// The options that take a value, but for that of the folder, whose value is kept.
std::string value_options_pattern() {
  std::vector<std::string> out;
  for (const Option& option : all_options()) {
    if (option.value.empty() || option.name == "conf-dir") continue;
    out.push_back(cat("--", option.name));
    if (option.letter != 0) out.push_back(cat('-', option.letter));
  }
  return joined(out, " | ");
}

std::string bash_command(const Command& command) {
  std::string out =
      cat("    ", quoted(command.name), ")\n      options=", quoted(option_words(command)),
          "\n      case $count in\n");
  for (std::size_t i = 0; i < command.arguments.size(); ++i) {
    const Argument& argument = command.arguments[i];
    out += cat("        ", argument.repeated ? "*" : cat(i), ") ", bash_reply(argument.complete),
               " ;;\n");
    if (argument.repeated) return out + "      esac\n      ;;\n";
  }
  return out + "        *) ;;\n      esac\n      ;;\n";
}

std::string bash_groups() {
  std::string out;
  for (const std::string& word : first_words()) {
    const std::vector<std::string> seconds = second_words(word);
    if (seconds.empty()) continue;
    out += cat("    ", word, ") COMPREPLY=($(compgen -W ", quoted(joined(seconds, " ")),
               " -- \"$word\")) ;;\n");
  }
  return out;
}

std::string group_pattern() {
  std::vector<std::string> out;
  for (const std::string& word : first_words()) {
    if (!second_words(word).empty()) out.push_back(word);
  }
  return joined(out, " | ");
}

std::string bash_script() {
  std::string commands;
  for (const Command& command : all_commands()) {
    if (!command.hidden) commands += bash_command(command);
  }
  return cat(
      "# Completion of cnitool for bash; made by `cnitool completion bash`.\n"
      "# shellcheck shell=bash disable=SC2207\n",
      R"(_cnitool() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  local command='' options='' count=0 i settings=()
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --conf-dir)
        settings=(--conf-dir "${COMP_WORDS[i + 1]}")
        i=$((i + 1))
        ;;
      )",
      value_options_pattern(), R"() i=$((i + 1)) ;;
      -*) ;;
      *)
        case $command in
          '') command=${COMP_WORDS[i]} ;;
          )",
      group_pattern(), R"() command+=" ${COMP_WORDS[i]}" ;;
          *) count=$((count + 1)) ;;
        esac
        ;;
    esac
  done
  case $before in
)",
      bash_values(), R"(  esac
  case $command in
    '') )",
      bash_reply(Complete::kCommand), " ;;\n", bash_groups(), commands,
      R"BASH(  esac
  if [[ $word == -* ]]; then COMPREPLY=($(compgen -W "$options" -- "$word")); fi
}
complete -F _cnitool cnitool
)BASH");
}

// ---- zsh

std::string zsh_action(Complete complete) {
  switch (complete) {
    case Complete::kNetwork:
      return "_cnitool_networks";
    case Complete::kNetns:
    case Complete::kFile:
      return "_files";
    case Complete::kFolder:
      return "_files -/";
    case Complete::kCommand:
      return cat("(", joined(first_words(), " "), ")");
    case Complete::kShell:
      return "(bash zsh fish)";
    case Complete::kNothing:
      break;
  }
  return " ";
}

// Brackets and colons separate the parts of a specification.
std::string zsh_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_command(const Command& command) {
  std::string out = cat("    ", quoted(command.name), ")\n      _arguments -s");
  for (const Option* option : options_of(command)) {
    const std::string about = cat('[', zsh_escaped(option->about), ']');
    const std::string value = option->value.empty() ? ""
                                                    : cat(':', zsh_escaped(option->value), ':',
                                                          zsh_action(option->complete));
    out += cat(" \\\n        ", quoted(cat("*--", option->name, about, value)));
    if (option->letter != 0) {
      out += cat(" \\\n        ", quoted(cat("*-", option->letter, about, value)));
    }
  }
  for (const Argument& argument : command.arguments) {
    const std::string_view start = argument.repeated ? "*:" : argument.required ? ":" : "::";
    out +=
        cat(" \\\n        ", quoted(cat(start, argument.name, ':', zsh_action(argument.complete))));
  }
  return out + "\n      ;;\n";
}

std::string zsh_script() {
  std::string commands;
  for (const Command& command : all_commands()) {
    if (!command.hidden) commands += zsh_command(command);
  }
  std::string groups;
  for (const std::string& word : first_words()) {
    const std::vector<std::string> seconds = second_words(word);
    if (!seconds.empty()) groups += cat("    ", word, ") compadd ", joined(seconds, " "), " ;;\n");
  }
  return cat(R"SH(#compdef cnitool
# Completion of cnitool for zsh; made by `cnitool completion zsh`.
_cnitool_networks() {
  compadd -- ${(f)"$(cnitool __networks 2>/dev/null)"}
  _files -g '*.conf*'
}
_cnitool() {
  local name
  if (( CURRENT == 2 )); then
    compadd )SH",
             joined(first_words(), " "), R"(
    return
  fi
  name=$words[2]
  shift words
  (( CURRENT-- ))
  case $name in
    )",
             group_pattern(), R"()
      if (( CURRENT > 2 )); then
        name="$name $words[2]"
        shift words
        (( CURRENT-- ))
      fi
      ;;
  esac
  case $name in
)",
             groups, commands, R"(  esac
}
_cnitool "$@"
)");
}

// ---- fish

std::string fish_action(Complete complete) {
  switch (complete) {
    case Complete::kNetwork:
      return " -a '(cnitool __networks 2>/dev/null)'";
    case Complete::kFile:
    case Complete::kNetns:
      return " -F";
    case Complete::kFolder:
      return " -a '(__fish_complete_directories)'";
    case Complete::kCommand:
      return cat(" -a ", quoted(joined(first_words(), " ")));
    case Complete::kShell:
      return " -a 'bash zsh fish'";
    case Complete::kNothing:
      break;
  }
  return {};
}

// When a command's options and arguments are offered.
std::string fish_condition(const Command& command) {
  std::string out = cat("__fish_seen_subcommand_from ", first_word(command.name));
  if (has_two_words(command)) {
    out += cat("; and __fish_seen_subcommand_from ",
               command.name.substr(first_word(command.name).size() + 1));
  }
  return cat(" -n ", quoted(out));
}

std::string fish_command(const Command& command) {
  const std::string start = cat("complete -c cnitool", fish_condition(command));
  std::string out;
  for (const Option* option : options_of(command)) {
    out += cat(start, option->letter != 0 ? cat(" -s ", option->letter) : "", " -l ", option->name,
               option->value.empty() ? "" : cat(" -r", fish_action(option->complete)), " -d ",
               quoted(option->about), '\n');
  }
  for (const Argument& argument : command.arguments) {
    const std::string action = fish_action(argument.complete);
    if (!action.empty()) out += cat(start, action, '\n');
  }
  return out;
}

std::string fish_script() {
  std::string out =
      "# Completion of cnitool for fish; made by `cnitool completion fish`.\n"
      "complete -c cnitool -f\n";
  for (const std::string& word : first_words()) {
    out += cat("complete -c cnitool -n __fish_use_subcommand -a ", word, '\n');
    const std::vector<std::string> seconds = second_words(word);
    if (seconds.empty()) continue;
    out += cat("complete -c cnitool -n '__fish_seen_subcommand_from ", word,
               "; and not __fish_seen_subcommand_from ", joined(seconds, " "), "' -a ",
               quoted(joined(seconds, " ")), '\n');
  }
  for (const Command& command : all_commands()) {
    if (!command.hidden) out += fish_command(command);
  }
  return out;
}

}  // namespace

Report completion(Session& session) {
  const std::string& shell = session.line().arguments[0];
  Report out;
  if (shell == "bash") {
    out.text = bash_script();
  } else if (shell == "zsh") {
    out.text = zsh_script();
  } else if (shell == "fish") {
    out.text = fish_script();
  } else {
    throw UsageError(session.line().command,
                     cat("unknown shell ", quote(shell), "; there are bash, zsh and fish"));
  }
  return out;
}

}  // namespace cni::cnitool
