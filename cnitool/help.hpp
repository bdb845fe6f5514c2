// Help for people, from the table of commands.
#pragma once

#include <string>
#include <vector>

#include "cnitool/command_table.hpp"

namespace cni::cnitool {

// "cnitool add NETWORK NETNS [options]"
std::string usage_of(const Command& command);

// The options of a command in the order of the table, with those of every command.
std::vector<const Option*> options_of(const Command& command);

// "-i, --ifname NAME"
std::string spelling(const Option& option);

// All about one command, or, for null, which there are.
std::string help_text(const Command* command);

}  // namespace cni::cnitool
