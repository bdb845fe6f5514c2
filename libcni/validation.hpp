// Looks for mistakes in network configurations: all of them at once, each with its place and, where
// there is one, a way out. Works from schema/*.json, so that it knows exactly what the plugins
// know; nothing is executed and no file is read.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cni::libcni {

enum class Severity {
  kError,    // refused, ignored or certain not to do what is written
  kWarning,  // works, but is probably not what is meant, or cannot be judged
};
std::string_view to_string(Severity severity);

struct Problem {
  Severity severity = Severity::kError;
  std::string path;      // "plugins[0].ipam.ranges[0][0].subnet"; empty for the document itself
  std::string value;     // the value there, as JSON; empty if there is none
  std::string sentence;  // what is wrong
  std::string hint;      // what to do about it, or what it follows from; may be empty

  bool operator==(const Problem& other) const = default;
};

// "error: plugins[0].mtu: expected an integer, got a string (value "1500"; hint: ...)", in one
// line.
std::string to_string(const Problem& problem);

enum class ConfigKind {
  kDetect,  // a single plugin if the object has a type and no plugins, otherwise a list
  kList,    // *.conflist, to which plugins of a folder may belong
  kSinglePlugin,
};

// Everything that is wrong with a configuration; empty if nothing is. A text that is not JSON gives
// one problem with its position. Does not throw for any text.
std::vector<Problem> validate_config(std::string_view text, ConfigKind kind = ConfigKind::kDetect);

// One file of a folder of networks.
struct ConfigFile {
  std::string path;
  std::string text;
};

struct FileProblem {
  std::string file;  // its path
  Problem problem;
};

// What is wrong between the networks of a folder: the same name twice, addresses that two networks
// hand out, a bridge or master that two use in ways that exclude each other. Does not repeat what
// validate_config says of each; files that are no configurations are skipped.
std::vector<FileProblem> find_conflicts(std::span<const ConfigFile> files);

}  // namespace cni::libcni
