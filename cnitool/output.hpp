// How cnitool prints: messages, errors, tables.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "cnitool/session.hpp"
#include "pkg/types/error.hpp"

namespace cni::cnitool {

// True if colours are wanted there: a terminal, and no NO_COLOR.
bool has_colours(const Surroundings& surroundings, int fd);

// "cnitool: TEXT" on stderr.
void print_note(const Surroundings& surroundings, std::string_view text);

// "cnitool: MESSAGE; DETAILS (code N)" on stderr.
void print_error(const Surroundings& surroundings, const Error& error);

// The error object of the CNI specification: code, msg and, if there are any, details.
nlohmann::json error_json(const Error& error);

// Columns that are as wide as their widest cell, two spaces apart, each row ended by a newline. The
// first row is the heading.
std::string format_table(const std::vector<std::vector<std::string>>& rows,
                         bool bold_heading = false);

// Words broken into lines of at most `width` characters, each line behind `indent` spaces.
// Empty lines stay.
std::string wrapped(std::string_view text, std::size_t indent, std::size_t width);

// Texts joined by a separator.
std::string joined(const std::vector<std::string>& texts, std::string_view separator);

}  // namespace cni::cnitool
