#include "cnitool/output.hpp"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "pkg/os/fd.hpp"
#include "pkg/skel/request.hpp"

namespace cni::cnitool {
namespace {

void print_on_stderr(const Surroundings& surroundings, std::string_view colour,
                     std::string_view text) {
  const bool coloured = has_colours(surroundings, surroundings.err);
  try {
    os::write_all(
        surroundings.err,
        coloured ? cat(colour, "cnitool:\033[0m ", text, '\n') : cat("cnitool: ", text, '\n'),
        "write to stderr");
  } catch (const Error&) {
    // There is nowhere left to say it.
  }
}

}  // namespace

bool has_colours(const Surroundings& surroundings, int fd) {
  const auto& environment = surroundings.environment;
  return ::isatty(fd) == 1 && skel::environment_value(environment, "NO_COLOR").empty() &&
         skel::environment_value(environment, "TERM") != "dumb";
}

void print_note(const Surroundings& surroundings, std::string_view text) {
  print_on_stderr(surroundings, "\033[1m", text);
}

void print_error(const Surroundings& surroundings, const Error& error) {
  const auto code = static_cast<unsigned>(error.code);
  // The code of a mistyped command line tells nobody anything.
  const bool plain = code == 0 || dynamic_cast<const UsageError*>(&error) != nullptr;
  print_on_stderr(surroundings, "\033[1;31m",
                  plain ? std::string(error.what()) : cat(error.what(), " (code ", code, ")"));
}

nlohmann::json error_json(const Error& error) {
  nlohmann::json out = {{"code", static_cast<unsigned>(error.code)}, {"msg", error.msg}};
  if (!error.details.empty()) out["details"] = error.details;
  return out;
}

std::string format_table(const std::vector<std::vector<std::string>>& rows, bool bold_heading) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    const bool bold = bold_heading && &row == rows.data();
    out += bold ? cat("\033[1m", line, "\033[0m\n") : cat(line, '\n');
  }
  return out;
}

std::string wrapped(std::string_view text, std::size_t indent, std::size_t width) {
  std::string out;
  std::string line;
  const auto flush = [&] {
    if (!line.empty()) out += cat(std::string(indent, ' '), line, '\n');
    line.clear();
  };
  while (!text.empty()) {
    const std::size_t end = text.find_first_of(" \n");
    const std::string_view word = text.substr(0, end);
    if (!line.empty() && line.size() + 1 + word.size() > width - indent) flush();
    if (!word.empty()) line += cat(line.empty() ? "" : " ", word);
    if (end == std::string_view::npos) break;
    if (text[end] == '\n') {
      flush();
      if (word.empty()) out += '\n';
    }
    text.remove_prefix(end + 1);
  }
  flush();
  return out;
}

std::string joined(const std::vector<std::string>& texts, std::string_view separator) {
  std::string out;
  for (const std::string& text : texts) {
    if (&text != texts.data()) out += separator;
    out += text;
  }
  return out;
}

}  // namespace cni::cnitool
