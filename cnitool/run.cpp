#include "cnitool/run.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cnitool/help.hpp"
#include "cnitool/output.hpp"
#include "cnitool/report.hpp"
#include "pkg/os/fd.hpp"

namespace cni::cnitool {
namespace {

using nlohmann::json;

// Also of a command line that is wrong elsewhere.
bool wants_json(const std::vector<std::string>& words) {
  const auto end = std::find(words.begin(), words.end(), "--");
  return std::find(words.begin(), end, "--json") != end;
}

void print_document(const Surroundings& surroundings, json document, Timing* timing) {
  if (timing != nullptr) document["timing"] = timing->document();
  os::write_all(surroundings.out, cat(document.dump(), '\n'), "write the result to stdout");
}

void print_timing(const Surroundings& surroundings, Timing* timing) {
  if (timing == nullptr) return;
  try {
    os::write_all(surroundings.err,
                  format_table(timing->table(), has_colours(surroundings, surroundings.err)),
                  "write to stderr");
  } catch (const Error&) {
    // The result matters more than what it took.
  }
}

void print_report(Session& session, const Report& report, bool as_json) {
  try {
    if (as_json) {
      print_document(session.surroundings(), report.document ? *report.document : json::object(),
                     session.timing());
      return;
    }
    if (!report.text.empty()) {
      os::write_all(session.surroundings().out, report.text, "write the result to stdout");
    }
  } catch (Error& error) {
    if (report.on_unwritten) report.on_unwritten();
    throw;
  }
  print_timing(session.surroundings(), session.timing());
}

int print_failure(const Surroundings& surroundings, const Error& error, Timing* timing,
                  bool as_json) {
  if (!as_json) {
    print_error(surroundings, error);
    print_timing(surroundings, timing);
    return 1;
  }
  try {
    print_document(surroundings, error_json(error), timing);
  } catch (const Error& unwritten) {
    print_error(surroundings, error);
    print_error(surroundings, unwritten);
  }
  return 1;
}

int run_command(Session& session, bool as_json) {
  const CommandLine& line = session.line();
  if (line.command == nullptr || line.has("help")) {
    os::write_all(session.surroundings().out, help_text(line.command), "write to stdout");
    return 0;
  }
  const Report report = line.command->run(session);
  print_report(session, report, as_json);
  return report.status;
}

}  // namespace

int run(const Surroundings& surroundings, const std::vector<std::string>& words) {
  const bool as_json = wants_json(words);
  std::optional<Session> session;
  try {
    session.emplace(surroundings, parse_command_line(words));
    return run_command(*session, as_json);
  } catch (const Error& error) {
    return print_failure(surroundings, error, session ? session->timing() : nullptr, as_json);
  } catch (const std::exception& error) {
    return print_failure(surroundings, Error(Code::kInternal, error.what()), nullptr, as_json);
  }
}

}  // namespace cni::cnitool
