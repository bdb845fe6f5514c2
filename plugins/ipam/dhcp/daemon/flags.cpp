#include "plugins/ipam/dhcp/daemon/flags.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <variant>

#include "pkg/types/error.hpp"

namespace cni::dhcp {
namespace {

struct Duration {
  Time Flags::*field;
  bool may_be_zero;
};
using Field = std::variant<std::string Flags::*, bool Flags::*, Duration>;

struct Flag {
  std::string_view name;
  Field field;
  std::string_view about;
};

constexpr std::array<Flag, 10> kFlags{{
    {"pidfile", &Flags::pidfile, "absolute path of a file to write the process's id to"},
    {"hostprefix", &Flags::hostprefix, "prefix of all paths but -pidfile: where the host's / is"},
    {"socketpath", &Flags::socketpath, "socket to listen on (default /run/cni/dhcp.sock)"},
    {"statedir", &Flags::statedir, "folder in which leases are kept (default /var/lib/cni/dhcp)"},
    {"broadcast", &Flags::broadcast, "ask servers to broadcast their answers"},
    {"timeout", Duration{&Flags::timeout, false},
     "wait for an answer to the first message, doubled with each repetition (default 10s)"},
    {"resendmax", Duration{&Flags::resendmax, false},
     "longest pause between two attempts (default 62s)"},
    {"resendtimeout", Duration{&Flags::resendtimeout, false},
     "time after which no more attempts are made (default 208s)"},
    {"probetime", Duration{&Flags::probetime, true},
     "wait for another host that uses the address already; 0: do not ask (default 10ms)"},
    {"help", &Flags::help, "this text"},
}};

struct Unit {
  std::string_view name;
  std::uint64_t nanoseconds;
};
// Longer names before those that they begin with. Both of Unicode's letters for micro, as Go.
constexpr std::array<Unit, 8> kUnits{{{"ns", 1},
                                      {"us", 1'000},
                                      {"\xc2\xb5s", 1'000},
                                      {"\xce\xbcs", 1'000},
                                      {"ms", 1'000'000},
                                      {"s", 1'000'000'000},
                                      {"m", 60'000'000'000},
                                      {"h", 3'600'000'000'000}}};

constexpr std::uint64_t kMostNanoseconds = std::numeric_limits<std::int64_t>::max();

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Takes one "1.5h" off the text's front. Absent if there is none, or if it is too long.
std::optional<std::uint64_t> take_term(std::string_view& text) {
  std::uint64_t whole = 0;
  bool has_digits = false;
  while (!text.empty() && is_digit(text.front())) {
    if (whole > kMostNanoseconds / 10 - 1) return std::nullopt;
    whole = whole * 10 + static_cast<std::uint64_t>(text.front() - '0');
    has_digits = true;
    text.remove_prefix(1);
  }
  std::string_view fraction;
  if (text.starts_with('.')) {
    std::size_t end = 1;
    while (end < text.size() && is_digit(text[end])) ++end;
    fraction = text.substr(1, end - 1);
    text.remove_prefix(end);
  }
  if (!has_digits && fraction.empty()) return std::nullopt;
  for (const Unit& unit : kUnits) {
    if (!text.starts_with(unit.name)) continue;
    text.remove_prefix(unit.name.size());
    if (whole > kMostNanoseconds / unit.nanoseconds) return std::nullopt;
    std::uint64_t out = whole * unit.nanoseconds;
    std::uint64_t digit_worth = unit.nanoseconds;
    for (const char digit : fraction) {
      digit_worth /= 10;
      out += digit_worth * static_cast<std::uint64_t>(digit - '0');
    }
    return out;
  }
  return std::nullopt;
}

Error invalid(std::string_view value, std::string_view name, std::string_view why) {
  return Error(Code::kInvalidEnvironment,
               cat("invalid value ", quote(value), " for flag -", name, ": ", why));
}

void set(Flags& flags, const Flag& flag, const std::string& value) {
  if (const auto* text = std::get_if<std::string Flags::*>(&flag.field)) {
    flags.*(*text) = value;
    return;
  }
  const Duration& duration = std::get<Duration>(flag.field);
  const std::optional<Time> time = parse_duration(value);
  if (!time) throw invalid(value, flag.name, "parse error; a duration is written as 1m30s");
  if (*time == Time(0) && !duration.may_be_zero) {
    throw invalid(value, flag.name, "it has to be 1ms at least");
  }
  flags.*duration.field = *time;
}

void set_switch(Flags& flags, const Flag& flag, const std::optional<std::string>& value) {
  bool& field = flags.*std::get<bool Flags::*>(flag.field);
  field = true;
  if (!value) return;
  // What Go's strconv.ParseBool takes.
  for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (*value == yes) return;
  }
  for (const char* no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (*value == no) {
      field = false;
      return;
    }
  }
  throw Error(Code::kInvalidEnvironment, cat("invalid boolean value ", quote(*value), " for -",
                                             flag.name, ": parse error; it is true or false"));
}

const Flag& find_flag(std::string_view name) {
  if (name == "h") name = "help";
  for (const Flag& flag : kFlags) {
    if (flag.name == name) return flag;
  }
  throw Error(Code::kInvalidEnvironment, cat("flag provided but not defined: -", name));
}

}  // namespace

std::optional<Time> parse_duration(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  if (text == "0") return Time(0);
  if (text.empty()) return std::nullopt;
  std::uint64_t total = 0;
  while (!text.empty()) {
    const std::optional<std::uint64_t> term = take_term(text);
    if (!term || *term > kMostNanoseconds - total) return std::nullopt;
    total += *term;
  }
  return Time(static_cast<Time::rep>(total / 1'000'000));
}

Flags parse_flags(std::span<const std::string> arguments) {
  Flags flags;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    std::string_view name = argument;
    if (!name.starts_with('-') || name == "-" || name == "--") {
      throw Error(Code::kInvalidEnvironment,
                  cat("unexpected argument ", quote(argument), ": there are flags alone"));
    }
    name.remove_prefix(name.starts_with("--") ? 2 : 1);
    if (name.starts_with('-') || name.starts_with('=')) {
      throw Error(Code::kInvalidEnvironment, cat("bad flag syntax: ", argument));
    }
    std::optional<std::string> value;
    if (const std::size_t equals = name.find('='); equals != std::string_view::npos) {
      value = name.substr(equals + 1);
      name = name.substr(0, equals);
    }
    const Flag& flag = find_flag(name);
    if (std::holds_alternative<bool Flags::*>(flag.field)) {
      set_switch(flags, flag, value);
      continue;
    }
    if (!value && i + 1 == arguments.size()) {
      throw Error(Code::kInvalidEnvironment, cat("flag needs an argument: -", name));
    }
    set(flags, flag, value ? *value : arguments[++i]);
  }
  return flags;
}

std::string usage() {
  std::string out = "Usage of dhcp daemon:\n";
  for (const Flag& flag : kFlags) {
    std::string_view kind = " duration";
    if (std::holds_alternative<std::string Flags::*>(flag.field)) kind = " string";
    if (std::holds_alternative<bool Flags::*>(flag.field)) kind = "";
    out += cat("  -", flag.name, kind, "\n    \t", flag.about, "\n");
  }
  return out;
}

}  // namespace cni::dhcp
