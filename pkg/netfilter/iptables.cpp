#include "pkg/netfilter/iptables.hpp"

#include <time.h>

#include <optional>

#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {
namespace {

// Folders that PATH often lacks where services are started.
constexpr std::string_view kUsualFolders = "/usr/sbin:/sbin:/usr/local/sbin";

// iptables' exit status when another program holds the rules or changed them at the same time.
constexpr int kResourceProblem = 4;
constexpr int kMaxAttempts = 6;

std::string find(std::string_view name, std::string_view search_path) {
  return os::find_program(name, cat(search_path, ':', kUsualFolders)).value_or("");
}

os::Exit run_with_retries(const os::Command& command) {
  for (int attempt = 0;; ++attempt) {
    os::Exit exit = os::run(command);
    if (!is_contended(exit) || attempt == kMaxAttempts) return exit;
    const timespec duration{0, 2'000'000L << attempt};
    (void)::nanosleep(&duration, nullptr);  // a shorter pause does no harm
  }
}

Error not_installed(std::string_view name) {
  return Error(Code::kDelegateFailed, cat("could not find ", name, " and ", name,
                                          "-restore in PATH or in ", kUsualFolders));
}

}  // namespace

Iptables::Iptables(Family family, std::string_view search_path, IptablesVariant variant)
    : family_(family) {
  if (variant == IptablesVariant::kLegacy) {
    program_ = find(cat(name(), "-legacy"), search_path);
    restore_program_ = find(cat(name(), "-legacy-restore"), search_path);
  }
  // Where the older implementation is the only one, its programs have the plain names.
  if (program_.empty()) program_ = find(name(), search_path);
  if (restore_program_.empty()) restore_program_ = find(cat(name(), "-restore"), search_path);
}

std::string_view Iptables::name() const {
  return family_ == Family::kIpv4 ? "iptables" : "ip6tables";
}

bool Iptables::is_installed() const { return !program_.empty() && !restore_program_.empty(); }

os::Exit Iptables::restore(std::string_view table, std::span<const std::string> lines) const {
  return restore(table, lines, Effect::kCommit);
}

os::Exit Iptables::restore(std::string_view table, std::span<const std::string> lines,
                           Effect effect) const {
  if (!is_installed()) throw not_installed(name());
  std::string input = cat('*', table, '\n');
  for (const std::string& line : lines) input += cat(line, '\n');
  input += "COMMIT\n";
  std::vector<std::string> argv = {restore_program_, "--noflush", "--wait"};
  if (effect == Effect::kTest) argv.emplace_back("--test");
  return run_with_retries({.path = restore_program_,
                           .argv = std::move(argv),
                           .input = std::move(input),
                           .environment = std::nullopt});
}

bool Iptables::has_rules(std::string_view table, std::span<const std::string> rules) const {
  const auto lines = [&](std::string_view command) {
    std::vector<std::string> out;
    for (const std::string& rule : rules) out.push_back(cat(command, rule));
    return out;
  };
  if (!restore(table, lines("-C ")).ok()) return false;
  // The older implementation (ip6tables 1.8.9) says yes for a rule whose ports are others. To
  // delete rules it compares all of them, and a test keeps them. (A test over nf_tables says yes to
  // everything.)
  return !legacy_iptables_has(family_, table) || restore(table, lines("-D "), Effect::kTest).ok();
}

os::Exit Iptables::run(std::string_view table, const std::vector<std::string>& arguments) const {
  if (!is_installed()) throw not_installed(name());
  std::vector<std::string> argv = {program_, "--wait", "-t", std::string(table)};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return run_with_retries(
      {.path = program_, .argv = std::move(argv), .input = {}, .environment = std::nullopt});
}

std::vector<std::string> Iptables::list(std::string_view table, std::string_view chain) const {
  std::vector<std::string> arguments = {"-S"};
  if (!chain.empty()) arguments.emplace_back(chain);
  const os::Exit exit = run(table, arguments);
  std::vector<std::string> out;
  if (!exit.ok()) return out;
  std::string_view rest = exit.out;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    if (rest.starts_with("-A ")) out.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return out;
}

bool Iptables::is_usable() const {
  if (!is_installed()) return false;
  // 1: there is no such rule, which is an answer too.
  const os::Exit exit = run("filter", {"-S", "INPUT", "1"});
  return exit.signal == 0 && (exit.status == 0 || exit.status == 1);
}

bool is_contended(const os::Exit& exit) {
  // The same status stands for the kernel's EBUSY about a chain that is still referred to.
  return exit.status == kResourceProblem && exit.err.find("resource busy") == std::string::npos;
}

bool legacy_iptables_has(Family family, std::string_view table) {
  const char* path = family == Family::kIpv4 ? "/proc/thread-self/net/ip_tables_names"
                                             : "/proc/thread-self/net/ip6_tables_names";
  std::optional<std::string> names;
  try {
    names = os::read_file(path);
  } catch (const Error&) {
    // Only root may read it; others could not change the rules either.
    return false;
  }
  return names && cat('\n', *names).find(cat('\n', table, '\n')) != std::string::npos;
}

std::string iptables_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('"');
  return out;
}

}  // namespace cni::netfilter
