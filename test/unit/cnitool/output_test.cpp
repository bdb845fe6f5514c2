#include "cnitool/output.hpp"

#include <nlohmann/json.hpp>

#include "cnitool/help.hpp"
#include "test/support/catch.hpp"

using namespace cni;

TEST_CASE("Tables have columns as wide as their widest cell") {
  CHECK(cnitool::format_table({{"A", "LONG"}, {"wide", "x"}, {"y", ""}}) ==
        "A     LONG\nwide  x\ny\n");
  CHECK(cnitool::format_table({{"A"}, {"b"}}, true) == "\033[1mA\033[0m\nb\n");
}

TEST_CASE("Text is broken between words") {
  CHECK(cnitool::wrapped("one two three", 2, 10) == "  one two\n  three\n");
  CHECK(cnitool::wrapped("one\n\ntwo", 0, 10) == "one\n\ntwo\n");
  // A word that is longer than a line has one for itself.
  CHECK(cnitool::wrapped("a incomprehensibilities b", 0, 8) == "a\nincomprehensibilities\nb\n");
  CHECK(cnitool::wrapped("", 4, 10).empty());
}

TEST_CASE("An error object has details only if there are any") {
  CHECK(cnitool::error_json(Error(Code::kTryAgainLater, "busy")).dump() ==
        R"({"code":11,"msg":"busy"})");
  CHECK(cnitool::error_json(Error(Code::kUnknownContainer, "a", "b")).dump() ==
        R"({"code":3,"details":"b","msg":"a"})");
}

TEST_CASE("Help of every command fits a terminal and names every option") {
  for (const cnitool::Command& command : cnitool::all_commands()) {
    INFO(command.name);
    const std::string text = cnitool::help_text(&command);
    CHECK(text.find(cnitool::usage_of(command)) != std::string::npos);
    for (const cnitool::Option* option : cnitool::options_of(command)) {
      CHECK(text.find(cnitool::spelling(*option)) != std::string::npos);
    }
    const std::string explained = text.substr(0, text.find("\nExamples:\n"));
    for (std::size_t start = 0; start < explained.size();) {
      const std::size_t end = std::min(explained.find('\n', start), explained.size());
      CHECK(end - start <= 80);
      start = end + 1;
    }
  }
  CHECK(cnitool::help_text(nullptr).find("__") == std::string::npos);
}
