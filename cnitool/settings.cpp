#include "cnitool/settings.hpp"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "pkg/os/file.hpp"
#include "pkg/types/hash.hpp"
#include "pkg/types/json.hpp"

namespace cni::cnitool {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

// Calls fn for each text between separators.
template <class Fn>
void for_each_part(std::string_view text, char separator, Fn&& fn) {
  for (;;) {
    const std::size_t end = text.find(separator);
    fn(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

}  // namespace

milliseconds parse_timeout(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  // More than a month is a mistake, and would not fit what poll takes.
  if (error == std::errc() && number >= 0 && number <= 1'000'000) {
    if (unit.empty() || unit == "s") return std::chrono::seconds(number);
    if (unit == "ms") return milliseconds(number);
    if (unit == "m" && number <= 20'000) return std::chrono::minutes(number);
  }
  throw Error(Code::kInvalidEnvironment,
              cat("--timeout: ", quote(text), " is no time; for example 30, 30s, 500ms or 2m"));
}

libcni::Arguments parse_arguments(std::string_view text) {
  libcni::Arguments out;
  if (text.empty()) return out;
  for_each_part(text, ';', [&](std::string_view pair) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || equals == 0 || equals + 1 == pair.size()) {
      throw Error(Code::kInvalidEnvironment, cat("invalid CNI_ARGS pair ", quote(pair)));
    }
    out.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
  });
  return out;
}

void add_arguments(libcni::Arguments& arguments, const libcni::Arguments& more) {
  for (const auto& added : more) {
    const auto found = std::find_if(arguments.begin(), arguments.end(),
                                    [&](const auto& each) { return each.first == added.first; });
    if (found == arguments.end()) {
      arguments.push_back(added);
    } else {
      found->second = added.second;
    }
  }
}

std::string merge_capabilities(std::string_view cap_args, const std::vector<std::string>& options) {
  json out = json::object();
  if (!cap_args.empty()) {
    out = *parse_json(cap_args, "CAP_ARGS");
    if (!out.is_object()) throw Reader::wrong_type(Reader(out, "CAP_ARGS"), "an object");
  }
  for (const std::string& option : options) {
    const std::size_t equals = option.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw Error(Code::kInvalidEnvironment,
                  cat("--capability: ", quote(option), " is not NAME=JSON"));
    }
    const std::string name = option.substr(0, equals);
    out[name] = *parse_json(option.substr(equals + 1), cat("--capability ", name));
  }
  return out.empty() ? std::string() : out.dump();
}

std::string absolute_path(std::string_view path, std::string_view current_folder) {
  const std::string whole =
      path.starts_with('/') ? std::string(path) : cat(current_folder, '/', path);
  std::vector<std::string_view> parts;
  for_each_part(whole, '/', [&](std::string_view part) {
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
  });
  std::string out;
  for (const std::string_view part : parts) out += cat('/', part);
  return out.empty() ? "/" : out;
}

std::string default_container_id(std::string_view absolute_netns) {
  return cat("cnitool-", sha512_hex(absolute_netns).substr(0, 20));
}

bool is_network_file(std::string_view name) {
  return name.ends_with(".conflist") || name.ends_with(".conf") || name.ends_with(".json");
}

std::vector<std::string> split_folders(std::string_view path) {
  std::vector<std::string> out;
  for_each_part(path, ':', [&](std::string_view folder) {
    if (!folder.empty()) out.emplace_back(folder);
  });
  return out;
}

Attachment parse_attachment(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == text.size() ||
      text.find('/', slash + 1) != std::string_view::npos) {
    throw Error(Code::kInvalidEnvironment,
                cat(quote(text), " is no attachment: CONTAINER-ID/IFNAME is needed"));
  }
  return {std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
}

std::vector<Attachment> parse_attachment_lines(std::string_view text) {
  std::vector<Attachment> out;
  int number = 0;
  for_each_part(text, '\n', [&](std::string_view line) {
    ++number;
    line = trimmed(line);
    if (line.empty() || line.starts_with('#')) return;
    out.push_back(context(cat("line ", number), [&] { return parse_attachment(line); }));
  });
  return out;
}

libcni::Network load_any_network(const std::string& path) {
  if (path.ends_with(".conflist")) return libcni::load_network_file(path);
  const auto text = os::read_file(path);
  if (!text) throw Error(Code::kIoFailure, cat("there is no file ", path));
  return context(path, [&] {
    const auto document = parse_json(*text, "error parsing configuration");
    if (!document->is_object()) throw Error(Code::kDecodingFailure, "not a JSON object");
    if (!document->contains("plugins") && !document->contains("type")) {
      throw Error(Code::kDecodingFailure, R"(neither "plugins" nor "type" is there)");
    }
    libcni::Network out;
    if (document->contains("plugins")) {
      out = libcni::parse_network_list(*text);
    } else {
      json list = {{"plugins", json::array({*document})}};
      // As a list the plugin also gets the choice of versions that only lists have.
      for (const char* key : {"name", "cniVersion", "cniVersions"}) {
        if (document->contains(key)) list[key] = document->at(key);
      }
      out = libcni::parse_network_list(list.dump());
    }
    out.file = path;
    return out;
  });
}

}  // namespace cni::cnitool
