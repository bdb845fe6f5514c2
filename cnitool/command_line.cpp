#include "cnitool/command_line.hpp"

#include <algorithm>

namespace cni::cnitool {
namespace {

std::string spelled(const Option& option) { return cat("--", option.name); }

// The options as they are found; the command is known only at the end, since they may stand first.
struct Found {
  std::vector<std::string> words;
  std::vector<std::pair<const Option*, std::string>> options;
};

class Scanner {
 public:
  explicit Scanner(const std::vector<std::string>& words) : words_(words) {}

  Found scan() {
    while (next_ < words_.size()) {
      const std::string& word = words_[next_++];
      if (word == "--") {
        found_.words.insert(found_.words.end(), words_.begin() + static_cast<long>(next_),
                            words_.end());
        break;
      }
      if (word.starts_with("--")) {
        long_option(word);
      } else if (word.size() > 1 && word[0] == '-') {
        short_options(word);
      } else {
        found_.words.push_back(word);
      }
    }
    return std::move(found_);
  }

 private:
  void long_option(const std::string& word) {
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    const Option* option = find_option(name);
    if (option == nullptr) throw UsageError(command(), cat("unknown option --", name));
    if (option->value.empty()) {
      if (equals != std::string::npos) {
        throw UsageError(command(), cat("--", name, " takes no value"));
      }
      found_.options.emplace_back(option, "");
    } else {
      found_.options.emplace_back(
          option, equals == std::string::npos ? value_of(*option) : word.substr(equals + 1));
    }
  }

  void short_options(const std::string& word) {
    for (std::size_t i = 1; i < word.size(); ++i) {
      const Option* option = find_option(word[i]);
      if (option == nullptr) throw UsageError(command(), cat("unknown option -", word[i]));
      if (option->value.empty()) {
        found_.options.emplace_back(option, "");
        continue;
      }
      const std::string rest = word.substr(i + 1);
      found_.options.emplace_back(option, rest.empty() ? value_of(*option) : rest);
      break;
    }
  }

  std::string value_of(const Option& option) {
    if (next_ < words_.size()) return words_[next_++];
    throw UsageError(command(), cat(spelled(option), " needs a value: ", option.value));
  }

  // The command as far as it is known, for the hint.
  const Command* command() const {
    return found_.words.empty() ? nullptr : find_command(found_.words[0]);
  }

  const std::vector<std::string>& words_;
  std::size_t next_ = 0;
  Found found_;
};

// Takes the command's name from the front of the words.
const Command* take_command(std::vector<std::string>& words) {
  for (const std::size_t count : {std::size_t{2}, std::size_t{1}}) {
    if (words.size() < count) continue;
    const Command* command = find_command(count == 2 ? cat(words[0], ' ', words[1]) : words[0]);
    if (command == nullptr) continue;
    words.erase(words.begin(), words.begin() + static_cast<long>(count));
    return command;
  }
  std::string following;
  for (const Command& command : all_commands()) {
    const std::string prefix = cat(words[0], ' ');
    if (!command.name.starts_with(prefix)) continue;
    following += cat(following.empty() ? "" : ", ", command.name.substr(prefix.size()));
  }
  if (following.empty()) throw UsageError(nullptr, cat("unknown command ", quote(words[0])));
  throw UsageError(nullptr, words.size() == 1
                                ? cat(words[0], " needs one of: ", following)
                                : cat("unknown command ", quote(cat(words[0], ' ', words[1])),
                                      "; there are: ", following));
}

void check_arguments(const CommandLine& line) {
  const std::span<const Argument> wanted = line.command->arguments;
  const auto required = static_cast<std::size_t>(std::count_if(
      wanted.begin(), wanted.end(), [](const Argument& each) { return each.required; }));
  if (line.arguments.size() < required) {
    std::string names;
    for (const Argument& argument : wanted.first(required)) names += cat(' ', argument.name);
    throw UsageError(line.command, cat("requires at least ", required, " arg(s), only received ",
                                       line.arguments.size(), ":", names));
  }
  const bool any_number = !wanted.empty() && wanted.back().repeated;
  if (line.arguments.size() > wanted.size() && !any_number) {
    throw UsageError(line.command,
                     cat("unexpected argument ", quote(line.arguments[wanted.size()])));
  }
}

}  // namespace

const std::string* CommandLine::value(std::string_view option) const {
  const auto found = options.find(option);
  return found == options.end() || found->second.empty() ? nullptr : &found->second.back();
}

std::vector<std::string> CommandLine::values(std::string_view option) const {
  const auto found = options.find(option);
  return found == options.end() ? std::vector<std::string>() : found->second;
}

UsageError::UsageError(const Command* command, std::string_view message)
    : Error(Code::kInvalidEnvironment,
            cat(message, " (see cnitool ", command == nullptr ? "" : cat(command->name, " "),
                "--help)")) {}

CommandLine parse_command_line(const std::vector<std::string>& words) {
  Found found = Scanner(words).scan();
  CommandLine out;
  const bool asks_for_help =
      std::any_of(found.options.begin(), found.options.end(),
                  [](const auto& each) { return each.first->name == "help"; });
  if (!found.words.empty()) {
    try {
      out.command = take_command(found.words);
    } catch (const UsageError&) {
      // `cnitool cache --help` is answered with the whole.
      if (!asks_for_help || found.words.size() > 1) throw;
      found.words.clear();
    }
  }
  for (auto& [option, value] : found.options) {
    if (out.command != nullptr && !takes_option(*out.command, *option)) {
      throw UsageError(out.command, cat(out.command->name, " has no option ", spelled(*option)));
    }
    out.options[std::string(option->name)].push_back(std::move(value));
  }
  out.arguments = std::move(found.words);
  if (out.command != nullptr && !asks_for_help) check_arguments(out);
  return out;
}

}  // namespace cni::cnitool
