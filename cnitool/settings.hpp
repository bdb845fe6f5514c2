// What options and variables say, as values. Nothing here looks at the process.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "libcni/cache.hpp"
#include "libcni/network.hpp"
#include "pkg/types/config.hpp"

namespace cni::cnitool {

// "30" and "30s" are seconds, "500ms" milliseconds, "2m" minutes. Throws
// Code::kInvalidEnvironment.
std::chrono::milliseconds parse_timeout(std::string_view text);

// "K=V;K2=V2"; none for "". Throws `invalid CNI_ARGS pair "x"`, Code::kInvalidEnvironment.
libcni::Arguments parse_arguments(std::string_view text);

// Adds pairs; one of a name that is there already takes its place.
void add_arguments(libcni::Arguments& arguments, const libcni::Arguments& more);

// The JSON object of CAP_ARGS ("" is none) with the values of --capability, each NAME=JSON, added.
// Empty if there is nothing. Throws Code::kDecodingFailure with the place.
std::string merge_capabilities(std::string_view cap_args, const std::vector<std::string>& options);

// The path from the root, without "." and "..", as text alone: no link is followed.
std::string absolute_path(std::string_view path, std::string_view current_folder);

// The container ID of a namespace that nobody gave one: as the Go tool's.
std::string default_container_id(std::string_view absolute_netns);

// True for the names of files that may hold a network: *.conflist, *.conf and *.json.
bool is_network_file(std::string_view name);

// Texts between colons, without empty ones.
std::vector<std::string> split_folders(std::string_view path);

// "ID/IFNAME". Throws Code::kInvalidEnvironment.
Attachment parse_attachment(std::string_view text);

// One attachment on each line; empty lines and those that start with # are skipped. Throws with the
// number of the line.
std::vector<Attachment> parse_attachment_lines(std::string_view text);

// Reads a network from any file, whatever its name: a list, or a single plugin. Throws
// Code::kDecodingFailure, with the path in front.
libcni::Network load_any_network(const std::string& path);

}  // namespace cni::cnitool
