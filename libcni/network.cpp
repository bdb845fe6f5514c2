#include "libcni/network.hpp"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <optional>

#include "libcni/files.hpp"
#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/json.hpp"
#include "pkg/types/version.hpp"

namespace cni::libcni {
namespace {

using nlohmann::json;

constexpr std::string_view kListFailure = "error parsing configuration list";
constexpr std::string_view kPluginFailure = "error parsing configuration";

Error malformed(std::string_view sentence) {
  return Error(Code::kDecodingFailure, std::string(sentence));
}

// The value under a key; null without it. Keys of a list are matched exactly, as the Go library
// does.
const json* member(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string text_member(const json& object, const char* key) {
  const json* value = member(object, key);
  if (value == nullptr) return {};
  if (value->is_string()) return value->get<std::string>();
  throw malformed(cat("invalid ", key, " type: expected a string, got ", value->dump()));
}

bool equal_without_case(std::string_view text, std::string_view word) {
  return std::equal(text.begin(), text.end(), word.begin(), word.end(), [](char left, char right) {
    return std::tolower(static_cast<unsigned char>(left)) == right;
  });
}

// A flag may also be written as text.
bool flag_member(const json& object, const char* key) {
  const json* value = member(object, key);
  if (value == nullptr) return false;
  if (value->is_boolean()) return value->get<bool>();
  if (!value->is_string()) {
    throw malformed(cat("invalid type for ", key, ": expected true or false, got ", value->dump()));
  }
  const auto text = value->get<std::string>();
  if (equal_without_case(text, "true")) return true;
  if (equal_without_case(text, "false")) return false;
  throw malformed(cat("invalid value ", quote(text), " for ", key, ": expected true or false"));
}

std::vector<std::string> listed_versions(const json& list) {
  const json* versions = member(list, "cniVersions");
  if (versions == nullptr) return {};
  if (!versions->is_array()) {
    throw malformed(cat("invalid type for cniVersions: expected an array, got ", versions->dump()));
  }
  std::vector<std::string> out;
  for (const json& entry : *versions) {
    if (!entry.is_string()) {
      throw malformed(cat("invalid type for cniVersions index ", out.size(),
                          ": expected a string, got ", entry.dump()));
    }
    out.push_back(entry.get<std::string>());
  }
  return out;
}

std::string choose_version(const json& list) {
  std::string written = text_member(list, "cniVersion");
  std::vector<std::string> offered = listed_versions(list);
  if (offered.empty()) return written;
  if (!written.empty()) offered.push_back(written);
  std::string chosen = written;
  std::optional<Version> best;
  for (std::size_t i = 0; i < offered.size(); ++i) {
    const auto version = Version::parse(offered[i]);
    if (!version) {
      throw malformed(
          cat("invalid cniVersions entry ", offered[i], " at index ", i, ": it is not a version"));
    }
    if (*version > *Version::parse(kCurrentVersion) || (best && *version <= *best)) continue;
    best = version;
    chosen = offered[i];
  }
  return chosen;
}

std::map<std::string, bool> read_capabilities(const json& plugin) {
  std::map<std::string, bool> out;
  Reader(plugin).optional("capabilities", out);
  return out;
}

PluginConfig read_plugin(const json& object) {
  if (!object.is_object()) throw malformed(cat("expected an object, got ", object.dump()));
  PluginConfig out;
  out.document = std::make_shared<const json>(object);
  out.type = text_member(object, "type");
  out.name = text_member(object, "name");
  out.capabilities = read_capabilities(object);
  if (out.type.empty()) throw malformed("missing 'type'");
  return out;
}

// The plugins that stand in the list itself.
std::vector<PluginConfig> inlined_plugins(const json& list, bool only_these) {
  const auto found = list.find("plugins");
  if (found == list.end()) {
    if (!only_these) return {};
    throw malformed("`loadOnlyInlinedPlugins` is true, and no 'plugins' key");
  }
  if (!found->is_array()) {
    throw malformed(cat("invalid 'plugins' type: expected an array, got ", found->dump()));
  }
  if (found->empty()) throw malformed("no plugins in list");
  std::vector<PluginConfig> out;
  for (const json& object : *found) {
    out.push_back(context(cat("failed to parse plugin config ", out.size()),
                          [&] { return read_plugin(object); }));
  }
  return out;
}

Network read_list(const json& list) {
  if (!list.is_object()) throw malformed(cat("expected an object, got ", list.dump()));
  Network out;
  out.name = text_member(list, "name");
  if (out.name.empty()) throw malformed("no name");
  out.cni_version = choose_version(list);
  out.disable_check = flag_member(list, "disableCheck");
  out.disable_gc = flag_member(list, "disableGC");
  out.load_only_inlined_plugins = flag_member(list, "loadOnlyInlinedPlugins");
  out.plugins = inlined_plugins(list, out.load_only_inlined_plugins);
  return out;
}

void add_plugins_beside(const std::string& list_file, Network& network) {
  // The name becomes part of a path; one that cannot has no folder, and is refused by every verb.
  if (!os::is_path_component(network.name)) return;
  const std::string folder = cat(os::folder_of(list_file), '/', network.name);
  context(cat("failed to read plugin config files in ", folder), [&] {
    for (const std::string& path : files_with_extension(folder, {"conf"})) {
      const auto text = os::read_file(path);
      if (!text) continue;  // it has just been removed
      context(path, [&] {
        PluginConfig plugin = read_plugin(*parse_json(*text, kPluginFailure));
        plugin.file = path;
        network.plugins.push_back(std::move(plugin));
      });
    }
  });
}

}  // namespace

Network parse_network_list(std::string_view text) {
  const auto document = parse_json(text, kListFailure);
  Network out = context(kListFailure, [&] { return read_list(*document); });
  out.text = text;
  return out;
}

Network parse_single_plugin(std::string_view text) {
  const auto document = parse_json(text, kPluginFailure);
  return context(kPluginFailure, [&] {
    PluginConfig plugin = read_plugin(*document);
    Network out;
    out.name = text_member(*document, "name");
    out.cni_version = text_member(*document, "cniVersion");
    out.text = json{{"name", out.name},
                    {"cniVersion", out.cni_version},
                    {"plugins", json::array({*plugin.document})}}
                   .dump();
    out.plugins.push_back(std::move(plugin));
    return out;
  });
}

Network load_network_file(const std::string& path) {
  const auto text = os::read_file(path);
  if (!text) throw Error(Code::kIoFailure, cat("there is no file ", path));
  return context(path, [&] {
    Network out;
    if (extension_of(path) == "conflist") {
      out = parse_network_list(*text);
      if (!out.load_only_inlined_plugins) add_plugins_beside(path, out);
      if (out.plugins.empty()) throw malformed("no plugin configs found");
    } else {
      out = parse_single_plugin(*text);
    }
    out.file = path;
    return out;
  });
}

}  // namespace cni::libcni
