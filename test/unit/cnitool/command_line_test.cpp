#include "cnitool/command_line.hpp"

#include <set>
#include <string>
#include <vector>

#include "test/support/catch.hpp"

using namespace cni;
using cnitool::CommandLine;
using cnitool::parse_command_line;

namespace {

std::string usage_error(const std::vector<std::string>& words) {
  try {
    (void)parse_command_line(words);
  } catch (const cnitool::UsageError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("Options may stand before the command and between its arguments") {
  const CommandLine line =
      parse_command_line({"-i", "net1", "add", "--timeout=3", "mynet", "--json", "/run/netns/x",
                          "--args", "A=1", "--args", "B=2"});
  REQUIRE(line.command != nullptr);
  CHECK(line.command->name == "add");
  CHECK(line.arguments == std::vector<std::string>{"mynet", "/run/netns/x"});
  CHECK(*line.value("ifname") == "net1");
  CHECK(*line.value("timeout") == "3");
  CHECK(line.has("json"));
  CHECK(!line.has("timing"));
  CHECK(line.values("args") == std::vector<std::string>{"A=1", "B=2"});
  CHECK(line.value("cache-dir") == nullptr);
}

TEST_CASE("A letter takes its value with or without a space") {
  CHECK(*parse_command_line({"add", "n", "x", "-inet1"}).value("ifname") == "net1");
  CHECK(*parse_command_line({"add", "n", "x", "-i", "net1"}).value("ifname") == "net1");
  CHECK(parse_command_line({"cache", "prune", "-y"}).has("yes"));
  // The last one counts.
  CHECK(*parse_command_line({"add", "n", "x", "-i", "a", "--ifname", "b"}).value("ifname") == "b");
}

TEST_CASE("Behind two dashes nothing is an option") {
  const CommandLine line = parse_command_line({"add", "--", "--json", "-x"});
  CHECK(line.arguments == std::vector<std::string>{"--json", "-x"});
  CHECK(!line.has("json"));
  // One dash alone is a word.
  CHECK(*parse_command_line({"gc", "n", "--valid-from", "-"}).value("valid-from") == "-");
}

TEST_CASE("Commands of two words are found") {
  CHECK(parse_command_line({"cache", "ls"}).command->name == "cache ls");
  CHECK(parse_command_line({"cache", "show", "n", "c"}).arguments.size() == 2);
  CHECK(parse_command_line({}).command == nullptr);
  CHECK(parse_command_line({"cache", "--help"}).command == nullptr);
}

TEST_CASE("What cannot be meant is refused with where to look") {
  CHECK(usage_error({"ad"}) == "unknown command \"ad\" (see cnitool --help)");
  CHECK(usage_error({"cache"}) == "cache needs one of: ls, show, prune (see cnitool --help)");
  CHECK(usage_error({"cache", "rm"}).starts_with("unknown command \"cache rm\"; there are: ls"));
  CHECK(usage_error({"add", "--wrong"}) == "unknown option --wrong (see cnitool add --help)");
  CHECK(usage_error({"add", "-q"}) == "unknown option -q (see cnitool add --help)");
  CHECK(usage_error({"add", "n", "x", "--ifname"}) ==
        "--ifname needs a value: NAME (see cnitool add --help)");
  CHECK(usage_error({"add", "n", "x", "--json=1"}) ==
        "--json takes no value (see cnitool add --help)");
  CHECK(usage_error({"list", "--timing"}) ==
        "list has no option --timing (see cnitool list --help)");
  CHECK(usage_error({"add", "n"}) ==
        "requires at least 2 arg(s), only received 1: NETWORK NETNS (see cnitool add --help)");
  CHECK(usage_error({"add", "n", "x", "y"}) ==
        "unexpected argument \"y\" (see cnitool add --help)");
}

TEST_CASE("Arguments are not counted when help is asked for") {
  const CommandLine line = parse_command_line({"add", "--help"});
  CHECK(line.command->name == "add");
  CHECK(line.has("help"));
}

TEST_CASE("The table of commands is whole") {
  std::set<std::string_view> names;
  std::set<char> letters;
  for (const cnitool::Option& option : cnitool::all_options()) {
    CHECK(names.insert(option.name).second);
    if (option.letter != 0) CHECK(letters.insert(option.letter).second);
    CHECK(option.about.ends_with('.'));
  }
  std::set<std::string_view> used;
  for (const std::string_view name : cnitool::common_options()) used.insert(name);
  for (const cnitool::Command& command : cnitool::all_commands()) {
    INFO(command.name);
    CHECK(command.run != nullptr);
    CHECK(command.about.ends_with('.'));
    for (const std::string_view name : command.options) {
      CHECK(cnitool::find_option(name) != nullptr);
      used.insert(name);
    }
    bool optional_seen = false;
    for (const cnitool::Argument& argument : command.arguments) {
      CHECK((!optional_seen || !argument.required));
      optional_seen = optional_seen || !argument.required;
    }
  }
  CHECK(used == names);
}
