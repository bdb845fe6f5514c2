// iptables through its programs: argv and standard input, never a shell. Whole transactions go to
// iptables-restore.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/os/process.hpp"
#include "pkg/types/address.hpp"

namespace cni::netfilter {

// iptables has two implementations with separate rules: over nf_tables, and over the older x_tables
// interface.
enum class IptablesVariant { kDefault, kLegacy };

// The programs of one family, found in `search_path`, then in /usr/sbin, /sbin and /usr/local/sbin.
class Iptables {
 public:
  Iptables(Family family, std::string_view search_path,
           IptablesVariant variant = IptablesVariant::kDefault);

  // "iptables" or "ip6tables", for messages.
  std::string_view name() const;
  // Whether both programs were found.
  bool is_installed() const;

  // Applies lines in iptables' own syntax (`-A CHAIN ...`) to a table in one transaction. Retried
  // with a bound while another program holds the rules. Throws Code::kDelegateFailed only if the
  // program cannot be run.
  os::Exit restore(std::string_view table, std::span<const std::string> lines) const;

  // Whether all of these rules ("CHAIN specification") are there, as iptables compares them.
  bool has_rules(std::string_view table, std::span<const std::string> rules) const;

  // Runs `iptables -t TABLE --wait arguments...`.
  os::Exit run(std::string_view table, const std::vector<std::string>& arguments) const;

  // Rules of a chain as -S prints them; none if the chain is absent.
  std::vector<std::string> list(std::string_view table, std::string_view chain) const;

  // Whether rules can be read at all: the program runs, and the kernel has what it needs.
  bool is_usable() const;

 private:
  enum class Effect { kCommit, kTest };
  os::Exit restore(std::string_view table, std::span<const std::string> lines, Effect effect) const;

  Family family_;
  std::string program_;
  std::string restore_program_;
};

// Whether a program gave up because others changed the rules all the time: the same may succeed
// later.
bool is_contended(const os::Exit& exit);

// Whether the kernel holds rules of the older implementation in that table. Reads /proc only.
bool legacy_iptables_has(Family family, std::string_view table);

// A word of an iptables-restore line: in double quotes, with what needs it escaped.
std::string iptables_quoted(std::string_view text);

}  // namespace cni::netfilter
