#!/bin/bash
# exec-plugins.sh add|del CONTAINER-ID NETNS-PATH
#
# Attaches a network namespace to every network of a folder, or detaches it again, as a container runtime would. The first
# network gets the interface eth0, the second eth1, and so on.
#
#   NETCONFPATH     folder with the networks: every .conf, .json and .conflist file, sorted by name (default /etc/cni/net.d; if
#                   the folder holds no network, the examples of this project are taken)
#   CNI_PATH        folders with the plugins, separated by colons (default: bin/ of this project, built first if missing)
#   CNI_ARGS        handed to the plugins as it is
#   CNI_RESULTS     folder in which add leaves for del what it attached (default /run/cni-exec-plugins)
#   DEBUG           1 or more: print each call with its configuration and result on stderr
#
# add stops at the first error and takes back what it had attached. del works in reverse order, goes on after an error, and also
# succeeds for what is already gone; it uses the networks as they were when add ran. The exit status is 1 after any error; every
# error is shown on stderr. Needs root and jq.
set -euo pipefail
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/packages.sh
. "$scripts/packages.sh"

packages=(jq)

if [[ ${1:-} == --help || ${1:-} == -h ]]; then
  usage
  exit 0
fi
if [[ $# -ne 3 || ($1 != add && $1 != del) ]]; then
  echo "usage: $(basename "$0") add|del CONTAINER-ID NETNS-PATH (see --help)" >&2
  exit 1
fi
verb=$1 container_id=$2 netns=$3
# The id becomes a file name below; the plugins ask for the same form.
if [[ ! $container_id =~ ^[a-zA-Z0-9][a-zA-Z0-9_.-]*$ ]]; then
  echo "$(basename "$0"): invalid container id \"$container_id\": letters, digits, \"_\", \".\" and \"-\" are needed" >&2
  exit 1
fi
if [[ $EUID -ne 0 ]]; then
  echo "$(basename "$0"): run as root: plugins change network interfaces" >&2
  exit 1
fi
ensure_packages "${packages[@]}"

# shellcheck source=scripts/defaults.sh
. "$scripts/defaults.sh"
choose_plugins
results=${CNI_RESULTS:-/run/cni-exec-plugins}
state=$results/$container_id
debug=${DEBUG:-0}

# trace TEXT...: shown if DEBUG asks for it.
trace() {
  [[ ! $debug =~ ^[0-9]+$ || $debug -eq 0 ]] || printf '%s\n' "$@" >&2
}

# as_list FILE: a network in the form of a list, whichever form its file has.
as_list() {
  jq -c '
    def parts: split(".") | map(tonumber);
    if type != "object" then error("not a JSON object")
    elif has("plugins") then .
    elif has("type") then {name, cniVersion, cniVersions, plugins: [.]}
    else error("neither \"plugins\" nor \"type\"") end
    | if (.plugins | type == "array" and length > 0 and all(type == "object")) then .
      else error("\"plugins\" is no list of plugins") end
    | if .cniVersions then
        .cniVersion = ([.cniVersions[], .cniVersion // empty]
                       | map(select(parts <= [1, 1, 0])) | max_by(parts)) // .cniVersion
      else . end' "$1"
}

# find_plugin TYPE: its path, from the folders of CNI_PATH only.
find_plugin() {
  local folder folders
  # A type with a separator could name any program of the host.
  if [[ -z $1 || $1 == */* ]]; then return 1; fi
  IFS=: read -ra folders <<<"$CNI_PATH"
  for folder in "${folders[@]}"; do
    if [[ -n $folder && -f $folder/$1 && -x $folder/$1 ]]; then
      printf '%s\n' "$folder/$1"
      return 0
    fi
  done
  return 1
}

# run_plugin COMMAND IFNAME LIST INDEX PREVIOUS: calls one plugin of a list with the result of the one before, or with nothing.
# Leaves its result in $result; shows its error.
run_plugin() {
  local command=$1 ifname=$2 list=$3 index=$4 previous=$5
  local name type plugin config status=0 message
  name=$(jq -r '.name // ""' <<<"$list")
  type=$(jq -r --argjson i "$index" '.plugins[$i].type // ""' <<<"$list")
  config=$(jq -c --argjson i "$index" --argjson previous "$previous" '
    .plugins[$i] + {name} + (if .cniVersion then {cniVersion} else {} end)
    + (if $previous then {prevResult: $previous} else {} end)' <<<"$list")
  if ! plugin=$(find_plugin "$type"); then
    echo "$name : error executing $command: failed to find plugin \"$type\" in path [$CNI_PATH]" >&2
    return 1
  fi
  trace "+ CNI_COMMAND=$command CNI_CONTAINERID=$container_id CNI_NETNS=$netns CNI_IFNAME=$ifname $plugin" "$config"
  result=$(CNI_COMMAND=$command CNI_CONTAINERID=$container_id CNI_NETNS=$netns CNI_IFNAME=$ifname \
    CNI_PATH=$CNI_PATH "$plugin" <<<"$config") || status=$?
  trace "$result"
  [[ $status -ne 0 ]] || return 0
  # The plugin's own words, or its status if it died without any.
  message=$(jq -r '.msg + (if .details then "; " + .details else "" end)
    + (if .code then " (code \(.code))" else "" end)' <<<"$result" 2>/dev/null) || message=
  echo "$name : error executing $command: plugin $type: ${message:-exit status $status ${result:0:200}}" >&2
  return 1
}

# add_network INDEX LIST: calls the plugins of one network in their order. What del needs is noted before the first call.
add_network() {
  local ifname=eth$1 list=$2 count i result=null
  printf '%s\n' "$list" >"$state/$1.list"
  count=$(jq '.plugins | length' <<<"$list")
  for ((i = 0; i < count; i++)); do
    run_plugin ADD "$ifname" "$list" "$i" "${result:-null}" || return 1
  done
  printf '%s\n' "$result" >"$state/$1.result"
}

# del_network INDEX LIST: calls the plugins in reverse order, each with the result of the whole ADD if it is known.
del_network() {
  local ifname=eth$1 list=$2 count i result previous=null failed=0
  if [[ -s $state/$1.result ]]; then previous=$(jq -c . "$state/$1.result" 2>/dev/null || echo null); fi
  # Plugins before version 0.4.0 do not expect it.
  case $(jq -r '.cniVersion // ""' <<<"$list") in
    '' | 0.1.0 | 0.2.0 | 0.3.0 | 0.3.1) previous=null ;;
  esac
  count=$(jq '.plugins | length' <<<"$list")
  for ((i = count - 1; i >= 0; i--)); do
    run_plugin DEL "$ifname" "$list" "$i" "$previous" || failed=1
  done
  return "$failed"
}

# read_networks: puts the networks of the folder in $networks, by index.
read_networks() {
  local files file list
  choose_networks
  mapfile -d '' files < <(network_files "$NETCONFPATH")
  networks=()
  for file in "${files[@]}"; do
    if ! list=$(as_list "$file"); then
      echo "$(basename "$0"): $file is not a network configuration" >&2
      return 1
    fi
    networks+=("$list")
  done
}

# check_plugins: whether every plugin of every network is there, before the first is called.
check_plugins() {
  local list type
  for list in "${networks[@]}"; do
    while read -r type; do
      if ! find_plugin "$type" >/dev/null; then
        echo "$(jq -r .name <<<"$list") : error executing ADD: failed to find plugin \"$type\" in path [$CNI_PATH]" >&2
        return 1
      fi
    done < <(jq -r '.plugins[].type // ""' <<<"$list")
  done
}

add_all() {
  local i
  for i in "${!networks[@]}"; do
    add_network "$i" "${networks[i]}" || return 1
    # Between two networks is a good moment to stop.
    [[ -z $interrupted ]] || return 1
  done
}

del_all() {
  local i failed=0
  for ((i = ${#networks[@]} - 1; i >= 0; i--)); do
    del_network "$i" "${networks[i]}" || failed=1
  done
  # After an error the notes stay, for another try.
  [[ $failed -ne 0 ]] || rm -rf "$state"
  return "$failed"
}

# recall_networks: as read_networks, but those that add noted, if there are notes. They have no gaps.
recall_networks() {
  local note index
  networks=()
  for note in "$state"/*.list; do
    [[ -s $note ]] || continue
    index=$(basename "$note" .list)
    networks[index]=$(<"$note")
  done
  [[ ${#networks[@]} -gt 0 ]] || read_networks
}

networks=()
if [[ $verb == del ]]; then
  # What has begun to go should be gone; children inherit that they do not listen.
  trap '' INT TERM HUP
  recall_networks
  del_all
  exit
fi

read_networks
check_plugins
install -d -m 0700 "$results"
if ! mkdir "$state"; then
  echo "$(basename "$0"): $container_id is attached already; del comes first" >&2
  exit 1
fi
interrupted=
trap 'interrupted=130' INT
trap 'interrupted=143' TERM
trap 'interrupted=129' HUP
if ! add_all; then
  trap '' INT TERM HUP
  recall_networks
  del_all || true
  exit "${interrupted:-1}"
fi
