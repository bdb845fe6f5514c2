#include "pkg/skel/request.hpp"

#include <unistd.h>

#include <algorithm>
#include <cctype>

#include "pkg/os/fd.hpp"
#include "pkg/types/error.hpp"

namespace cni::skel {
namespace {

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// ^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$
bool is_identifier(std::string_view text) {
  if (text.empty() || !is_letter_or_digit(text[0])) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_letter_or_digit(c) || c == '_' || c == '.' || c == '-';
  });
}

// White space as Unicode has it, in UTF-8: the ASCII ones, U+0085, U+00A0, U+1680, U+2000 to
// U+200A, U+2028, U+2029, U+202F, U+205F and U+3000.
bool has_white_space(std::string_view text) {
  static constexpr std::string_view kWide[] = {"\u0085", "\u00a0", "\u1680", "\u2000", "\u2001",
                                               "\u2002", "\u2003", "\u2004", "\u2005", "\u2006",
                                               "\u2007", "\u2008", "\u2009", "\u200a", "\u2028",
                                               "\u2029", "\u202f", "\u205f", "\u3000"};
  if (text.find_first_of(" \t\n\v\f\r") != std::string_view::npos) return true;
  return std::any_of(std::begin(kWide), std::end(kWide), [text](std::string_view space) {
    return text.find(space) != std::string_view::npos;
  });
}

Error bad_ifname(std::string_view message, std::string_view name) {
  return Error(Code::kInvalidEnvironment, std::string(message), cat("CNI_IFNAME is ", quote(name)));
}

// 1, true, 0 and false in any case.
std::optional<bool> parse_bool(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (lower == "1" || lower == "true") return true;
  if (lower == "0" || lower == "false") return false;
  return std::nullopt;
}

struct Pair {
  std::string_view text;
  std::string_view key;
  std::string_view value;
};

std::vector<Pair> split_pairs(std::string_view args) {
  std::vector<Pair> out;
  while (true) {
    const std::size_t end = args.find(';');
    const std::string_view text = args.substr(0, end);
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || equals != text.rfind('=')) {
      throw Error(Code::kInvalidEnvironment, cat("ARGS: invalid pair ", quote(text)),
                  "CNI_ARGS has the form KEY=VALUE;KEY=VALUE");
    }
    out.push_back({text, text.substr(0, equals), text.substr(equals + 1)});
    if (end == std::string_view::npos) return out;
    args.remove_prefix(end + 1);
  }
}

}  // namespace

std::string_view to_string(Command command) {
  switch (command) {
    case Command::kAdd:
      return "ADD";
    case Command::kDel:
      return "DEL";
    case Command::kCheck:
      return "CHECK";
    case Command::kGc:
      return "GC";
    case Command::kStatus:
      return "STATUS";
    case Command::kReconcile:
      return "RECONCILE";
    case Command::kUpdate:
      return "UPDATE";
    case Command::kVersion:
      break;
  }
  return "VERSION";
}

Io process_io() {
  Io io;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    io.environment.emplace_back(*entry);
  }
  return io;
}

std::string environment_value(const std::vector<std::string>& environment, std::string_view name) {
  for (auto entry = environment.rbegin(); entry != environment.rend(); ++entry) {
    const std::string_view text = *entry;
    const bool matches = text.size() > name.size() && text[name.size()] == '=' &&
                         text.substr(0, name.size()) == name;
    if (matches) return std::string(text.substr(name.size() + 1));
  }
  return {};
}

void warn(const Request& request, std::string_view plugin, std::string_view text) {
  try {
    os::write_all(request.err, cat(plugin, ": ", text, "\n"), "write to stderr");
  } catch (const Error&) {
    // Nobody is there.
  }
}

void parse_args(std::string_view args, const std::vector<ArgsKey>& known) {
  if (args.empty()) return;
  bool ignore_unknown = false;
  std::string unknown;
  for (const Pair& pair : split_pairs(args)) {
    if (pair.key == "IgnoreUnknown") {
      const auto value = parse_bool(pair.value);
      if (!value) {
        throw Error(Code::kInvalidEnvironment,
                    cat("ARGS: error parsing value of pair ", quote(pair.text),
                        ": boolean unmarshal error: invalid input ", pair.value));
      }
      ignore_unknown = *value;
      continue;
    }
    const auto key = std::find_if(known.begin(), known.end(), [&](const ArgsKey& candidate) {
      return candidate.name == pair.key;
    });
    if (key == known.end()) {
      unknown += cat(unknown.empty() ? "" : " ", quote(pair.text));
    } else {
      *key->value = pair.value;
    }
  }
  if (ignore_unknown || unknown.empty()) return;
  throw Error(Code::kInvalidEnvironment, cat("ARGS: unknown args [", unknown, "]"),
              "add IgnoreUnknown=1 to CNI_ARGS if they are meant for another plugin");
}

std::optional<Mac> mac_argument(std::string_view args) {
  std::string text;
  parse_args(args, {{"MAC", &text}});
  if (text.empty()) return std::nullopt;
  auto mac = Mac::parse(text);
  if (mac) return mac;
  throw Error(Code::kInvalidEnvironment, cat("CNI_ARGS: MAC is not a MAC address: ", quote(text)));
}

void check_container_id(std::string_view id) {
  if (is_identifier(id)) return;
  throw Error(Code::kInvalidEnvironment, "invalid characters in containerID", std::string(id));
}

void check_ifname(std::string_view name) {
  if (name.empty()) throw bad_ifname("interface name is empty", name);
  if (name.size() > 15) {
    throw Error(Code::kInvalidEnvironment, "interface name is too long",
                "interface name should be less than 16 characters");
  }
  if (name == "." || name == "..") throw bad_ifname("interface name is . or ..", name);
  if (name.find_first_of("/:") != std::string_view::npos || has_white_space(name)) {
    throw bad_ifname("interface name contains / or : or whitespace characters", name);
  }
}

void check_network_name(std::string_view name) {
  if (name.empty()) throw Error(Code::kInvalidNetworkConfig, "missing network name");
  if (is_identifier(name)) return;
  throw Error(Code::kInvalidNetworkConfig, "invalid characters found in network name",
              std::string(name));
}

}  // namespace cni::skel
