#include "cnitool/timing.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"

namespace cni::cnitool {
namespace {

using nlohmann::json;
using std::chrono::steady_clock;

std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> out;
  for (;;) {
    const std::size_t tab = line.find('\t');
    out.push_back(line.substr(0, tab));
    if (tab == std::string_view::npos) return out;
    line.remove_prefix(tab + 1);
  }
}

std::int64_t number(std::string_view text) {
  std::int64_t out = 0;
  (void)std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

// One line: "begin" with shim, parent, child, start, command and type, or "end" with shim,
// end and whether it failed.
void read_note(std::string_view line, std::map<std::int64_t, NotedRun>& runs) {
  const std::vector<std::string_view> fields = fields_of(line);
  if (fields.size() == 7 && fields[0] == "begin") {
    runs[number(fields[1])] = {.type = std::string(fields[6]),
                               .command = std::string(fields[5]),
                               .parent = static_cast<int>(number(fields[2])),
                               .child = static_cast<int>(number(fields[3])),
                               .start = number(fields[4])};
  } else if (fields.size() == 4 && fields[0] == "end") {
    const auto run = runs.find(number(fields[1]));
    if (run == runs.end()) return;
    run->second.end = number(fields[2]);
    run->second.failed = fields[3] != "0";
  }
}

void link_to(const std::string& target, const std::string& path) {
  if (::symlink(target.c_str(), path.c_str()) != 0 && errno != EEXIST) {
    throw system_error(cat("create the link ", path), errno, Code::kIoFailure);
  }
}

// "12.3"
std::string milliseconds(std::int64_t nanoseconds) {
  char text[32];
  (void)std::snprintf(text, sizeof text, "%.1f", static_cast<double>(nanoseconds) / 1e6);
  return text;
}

}  // namespace

std::vector<NotedRun> read_notes(std::string_view text) {
  std::map<std::int64_t, NotedRun> runs;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    read_note(text.substr(0, end), runs);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  std::vector<NotedRun> out;
  out.reserve(runs.size());
  for (auto& [shim, run] : runs) out.push_back(std::move(run));
  std::stable_sort(out.begin(), out.end(),
                   [](const NotedRun& a, const NotedRun& b) { return a.start < b.start; });
  return out;
}

Timing::Timing(const std::vector<std::string>& plugin_folders, const std::string& executable,
               const std::string& parent) {
  std::string name = cat(parent, "/cnitool-XXXXXX");
  if (::mkdtemp(name.data()) == nullptr) {
    throw system_error(cat("create a folder in ", parent), errno, Code::kIoFailure);
  }
  folder_ = name;
  os::make_directories(cat(folder_, '/', kTargets));
  (void)os::create_file(cat(folder_, '/', kNotes), "");
  for (const std::string& folder : plugin_folders) {
    for (const std::string& type : os::list_directory(folder)) {
      const std::string target = cat(folder, '/', type);
      // This program itself is no plugin, and a hidden file not either.
      if (type == "cnitool" || type.starts_with('.') || !os::is_regular_file(target)) continue;
      // The first folder with a plugin counts: a second link of the name is not made.
      link_to(target, cat(folder_, '/', kTargets, '/', type));
      link_to(executable, cat(folder_, '/', type));
    }
  }
}

Timing::~Timing() {
  try {
    for (const std::string& folder : {cat(folder_, '/', kTargets), folder_}) {
      for (const std::string& name : os::list_directory(folder)) {
        (void)::unlink(cat(folder, '/', name).c_str());
      }
      (void)::rmdir(folder.c_str());
    }
  } catch (const std::exception&) {
    // What cannot be removed stays in /tmp, which is not worth failing for.
  }
}

void Timing::note(const libcni::PluginRun& run) {
  const std::int64_t end = steady_clock::now().time_since_epoch().count();
  chain_.push_back({.type = run.type,
                    .command = std::string(skel::to_string(run.command)),
                    .start = end - run.duration.count(),
                    .end = end,
                    .failed = run.error != nullptr});
}

std::vector<Timing::Row> Timing::rows() const {
  const std::vector<NotedRun> noted =
      read_notes(os::read_file(cat(folder_, '/', kNotes)).value_or(""));
  const auto duration = [](const NotedRun& run) { return run.end == 0 ? -1 : run.end - run.start; };
  std::vector<Row> out;
  for (const ChainRun& run : chain_) {
    const std::size_t first = out.size();
    out.push_back({run.type, run.command, run.end - run.start, run.failed, 0});
    std::map<int, int> depth_of;  // by process
    for (const NotedRun& each : noted) {
      if (each.start < run.start || each.start > run.end) continue;
      if (each.parent == ::getpid()) {
        // The plugin without its shim.
        if (each.end != 0) out[first].duration = each.end - each.start;
        depth_of[each.child] = 0;
        continue;
      }
      // A delegate that was started by way of a shell or the like is taken for the plugin's own.
      const auto parent = depth_of.find(each.parent);
      const int depth = parent == depth_of.end() ? 1 : parent->second + 1;
      depth_of[each.child] = depth;
      out.push_back({each.type, each.command, duration(each), each.failed, depth});
    }
  }
  return out;
}

json Timing::document() const {
  json out = json::array();
  for (const Row& row : rows()) {
    json entry = {{"type", row.type}, {"command", row.command}};
    // More digits than microseconds are noise.
    const std::int64_t microseconds = row.duration / 1000;
    if (row.duration >= 0) entry["ms"] = static_cast<double>(microseconds) / 1000;
    if (row.failed) entry["failed"] = true;
    if (row.duration < 0) entry["killed"] = true;
    json* place = &out;
    for (int depth = 0; depth < row.depth && !place->empty(); ++depth) {
      place = &place->back()["delegates"];
    }
    place->push_back(std::move(entry));
  }
  return out;
}

std::vector<std::vector<std::string>> Timing::table() const {
  std::vector<std::vector<std::string>> out;
  if (!chain_.empty()) out.push_back({"PLUGIN", "COMMAND", "MS", ""});
  for (const Row& row : rows()) {
    out.push_back({cat(std::string(static_cast<std::size_t>(row.depth) * 2, ' '), row.type),
                   row.command, row.duration < 0 ? "-" : milliseconds(row.duration),
                   row.duration < 0 ? "killed"
                   : row.failed     ? "failed"
                                    : ""});
  }
  return out;
}

}  // namespace cni::cnitool
