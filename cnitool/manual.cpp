// The manual page, from the table of commands.
#include "cnitool/commands.hpp"
#include "cnitool/help.hpp"
#include "cnitool/output.hpp"

namespace cni::cnitool {
namespace {

// What mandoc calls good style.
constexpr std::size_t kWidth = 78;

// Of the last change to what the page says.
constexpr std::string_view kDate = "2026-11-22";

// A text as man(7) takes it: no character of it is an instruction.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool starts_line = out.empty() || out.back() == '\n';
    if (starts_line && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      // A hyphen that can be copied into a shell.
      out += "\\-";
    } else if (c == '\'') {
      out += "\\(aq";
    } else if (c == '"') {
      out += "\\(dq";
    } else {
      out += c;
    }
  }
  return out;
}

// Paragraphs, an instruction between them.
std::string paragraphs(std::string_view text) {
  std::string out;
  for (;;) {
    const std::size_t end = text.find("\n\n");
    out += cat(wrapped(escaped(text.substr(0, end)), 0, kWidth));
    if (end == std::string_view::npos) return out;
    out += ".PP\n";
    text.remove_prefix(end + 2);
  }
}

std::string tagged(std::string_view tag, std::string_view text) {
  return cat(".TP\n.B \"", escaped(tag), "\"\n", wrapped(escaped(text), 0, kWidth));
}

std::string option_tag(const Option& option) { return spelling(option); }

std::string command_section(const Command& command) {
  std::string out = cat(".SS \"", escaped(usage_of(command)), "\"\n",
                        paragraphs(cat(command.about, " ", command.description)));
  for (const Option* option : options_of(command)) {
    // Those of every command stand in a section of their own.
    bool common = false;
    for (const std::string_view name : common_options()) common = common || name == option->name;
    if (!common) out += tagged(option_tag(*option), option->about);
  }
  if (command.examples.empty()) return out;
  out += ".PP\nFor example:\n.PP\n.nf\n.RS\n";
  for (const std::string_view example : command.examples) out += cat(escaped(example), '\n');
  return out + ".RE\n.fi\n";
}

}  // namespace

Report manual(Session&) {
  std::string out =
      cat(".\\\" Made from the table of commands by `cnitool __manual`.\n"
          ".TH CNITOOL 1 ",
          kDate,
          " \"cnitool " CNI_VERSION
          "\" \"CNI plugins\"\n"
          ".SH NAME\ncnitool \\- attach network namespaces to CNI networks\n"
          ".SH SYNOPSIS\n.B cnitool\n.I COMMAND\n[arguments] [options]\n"
          ".SH DESCRIPTION\n");
  out += paragraphs(
      "cnitool does with CNI networks what a container runtime does: it runs the plugins of a "
      "network to attach a network namespace, to check and to detach it, and cleans up. NETWORK is "
      "the name of a network of the folder, or the path of a file; NETNS is the path of a network "
      "namespace.");
  out += ".SH COMMANDS\n";
  for (const Command& command : all_commands()) {
    if (!command.hidden) out += command_section(command);
  }
  out += ".SH OPTIONS OF EVERY COMMAND\n";
  for (const std::string_view name : common_options()) {
    const Option* option = find_option(name);
    out += tagged(option_tag(*option), option->about);
  }
  out += ".SH ENVIRONMENT\n";
  for (const Variable& variable : all_variables()) out += tagged(variable.name, variable.about);
  out += ".SH FILES\n";
  out += tagged("/etc/cni/net.d", "Networks, unless something else is said.");
  out += tagged("/var/lib/cni/results", "What is remembered of attachments.");
  out += ".SH EXIT STATUS\n";
  out += paragraphs(
      "0 after success, 1 after an error, and 128 and the signal's number after an error that a "
      "signal brought about: SIGINT, SIGTERM and SIGHUP kill the running plugin, and a half-made "
      "attachment is deleted.");
  Report report;
  report.text = std::move(out);
  return report;
}

}  // namespace cni::cnitool
