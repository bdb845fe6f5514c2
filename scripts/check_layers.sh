#!/bin/bash
# check_layers.sh [FOLDER]
#
# Checks the includes of pkg/, plugins/, libcni/ and cnitool/ in FOLDER, by default this project:
#   - they point only downwards: plugins > attachment > delegate > skel, netfilter > netlink > ns > os > types;
#   - plugins never include each other;
#   - libcni includes pkg/ only, and cnitool pkg/ and libcni/ only;
#   - an include in quotes names the file from the project's root;
#   - netlink messages are made in pkg/netlink and pkg/netfilter only; headers do without the large header of the JSON library;
#   - nothing that makes executables large and slow to start: iostreams, locales, std::filesystem, std::regex;
#   - no shell and no environment behind the caller's back: system, popen, getenv;
#   - headers that cmake/private_headers.txt names are included in their own folder only, and plugins/sample, which is built outside
#     the tree too, includes only its own and those that are installed.
set -euo pipefail
if [[ ${1:-} == --help || ${1:-} == -h ]]; then
  sed -n '2,/^[^#]/{ s/^# \{0,1\}//p; }' "$0"
  exit 0
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export private_headers=$root/cmake/private_headers.txt
cd "${1:-$root}"

mapfile -t folders < <(ls -d pkg plugins libcni cnitool 2>/dev/null)
# shellcheck disable=SC2016  # the dollars are awk's
find "${folders[@]}" \( -name '*.hpp' -o -name '*.cpp' \) -print0 | sort -z | xargs -0 awk '
  BEGIN {
    rank["pkg"] = 1
    rank["plugins"] = rank["libcni"] = 2
    rank["cnitool"] = 3
    # What each folder of pkg/ may include besides itself.
    below["types"] = " "
    below["os"] = below["types"] "types "
    below["ns"] = below["dbus"] = below["os"] "os "
    below["netlink"] = below["ns"] "ns "
    below["netfilter"] = below["netlink"] "netlink dbus "
    below["skel"] = below["netlink"] "netlink "
    below["delegate"] = below["skel"] "skel "
    below["attachment"] = below["delegate"] "delegate netfilter "
    while ((getline line < ENVIRON["private_headers"]) > 0) is_private[line] = 1
  }
  function complain(text) { printf "%s:%d: %s\n", FILENAME, FNR, text; bad = 1 }
  function folder_of(path) { sub(/\/[^\/]*$/, "", path); return path }
  function is_file(path,   line) { return (getline line < path) >= 0 }
  # The folder is the root of a project of its own.
  function check_sample_include(included) {
    if (included ~ /^pkg\// ? included in is_private : !is_file("plugins/sample/" included))
      complain("plugins/sample includes \"" included "\", which the installed package does not have")
  }
  function check_project_include(included,   from, to) {
    split(FILENAME, from, "/")
    split(included, to, "/")
    if (to[1] != "pkg" && to[1] != "plugins" && to[1] != "libcni" && to[1] != "cnitool") {
      complain("name \"" included "\" from the root of the project")
    } else if (rank[from[1]] < rank[to[1]] || (from[1] != to[1] && rank[from[1]] == rank[to[1]])) {
      complain(from[1] "/ must not include " to[1] "/")
    } else if (from[1] == "cnitool" && to[1] == "plugins") {
      complain("cnitool/ includes a plugin")
    } else if (from[1] == "pkg" && !(from[2] in below)) {
      complain("pkg/" from[2] " has no place among the layers; give it one in check_layers.sh")
    } else if (from[1] == "pkg" && from[2] != to[2] && !index(below[from[2]], " " to[2] " ")) {
      complain("pkg/" from[2] " must not include pkg/" to[2] ", which is not below it")
    } else if (from[1] == "plugins" && to[1] == "plugins" && (from[2] "/" from[3]) != (to[2] "/" to[3])) {
      complain("a plugin includes another plugin")
    }
    if (included ~ /^pkg\/netlink\/(message|handle)\.hpp$/ && !inside_netlink)
      complain(included " is private to pkg/netlink and pkg/netfilter")
    else if ((included in is_private) && folder_of(FILENAME) != folder_of(included) && !inside_netlink)
      complain(included " is private to " folder_of(included))
  }
  FNR == 1 { inside_netlink = FILENAME ~ /^pkg\/(netlink|netfilter)\// }
  /^#[ \t]*include[ \t]*"/ {
    split($0, part, "\"")
    if (FILENAME ~ /^plugins\/sample\//) check_sample_include(part[2])
    else check_project_include(part[2])
  }
  /^#[ \t]*include[ \t]*<netlink\// { complain("no libnl; docs/decisions/0001 says why") }
  /^#[ \t]*include[ \t]*<nlohmann\/json\.hpp>/ && FILENAME ~ /\.hpp$/ && FILENAME != "pkg/types/json.hpp" {
    complain("headers take <nlohmann/json_fwd.hpp>")
  }
  /^#[ \t]*include[ \t]*<(iostream|fstream|sstream|iomanip|locale|filesystem|regex)>/ {
    complain("too large for a plugin: " $2)
  }
  /(^|[^a-z_.>])(system|popen|getenv|secure_getenv)\(/ && !/^[ \t]*\/\// {
    complain("no shell and no getenv; see pkg/os/process.hpp and skel::Io")
  }
  END { exit bad }
'
