#!/bin/bash
# exec-plugins.sh add|del CONTAINER-ID NETNS-PATH
#
# Attaches a network namespace to every network of a folder, or detaches it again, as a container runtime would. The first
# network gets the interface eth0, the second eth1, and so on. bin/cnitool does the work, for one network at a time.
#
#   NETCONFPATH     folder with the networks: every .conf, .json and .conflist file, sorted by name (default /etc/cni/net.d; if
#                   the folder holds no network, the examples of this project are taken)
#   CNI_PATH        folders with the plugins, separated by colons (default: bin/ of this project, built first if missing)
#   CNI_ARGS        handed to the plugins as it is
#   CAP_ARGS        arguments for plugins with the capability, a JSON object
#   CNITOOL         the executable of cnitool (default: that in bin/ of this project, built first if missing)
#   CNI_RESULTS     folder in which add leaves for del what it attached (default /run/cni-exec-plugins)
#   DEBUG           1 or more: print each call with its configuration, the time of each plugin, and the result on stderr
#
# add looks for all plugins before it runs the first, stops at the first error and takes back what it had attached. del works in
# reverse order, goes on after an error, and also succeeds for what is already gone; it uses the networks as they were when add
# ran. The exit status is 1 after any error; every error is shown on stderr. Needs root.
set -euo pipefail
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/packages.sh
. "$scripts/packages.sh"

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

# shellcheck source=scripts/defaults.sh
. "$scripts/defaults.sh"
choose_plugins
choose_cnitool
# What add leaves: the networks as they were, cnitool's own notes, and a result for each network that was begun.
results=${CNI_RESULTS:-/run/cni-exec-plugins}
state=$results/$container_id
timing=()
if [[ ${DEBUG:-0} =~ ^[0-9]+$ && ${DEBUG:-0} -gt 0 ]]; then timing=(--timing); fi

# trace TEXT...: shown if DEBUG asks for it.
trace() {
  [[ ${#timing[@]} -eq 0 ]] || printf '%s\n' "$@" >&2
}

# call VERB INDEX [OPTION...]: one call of cnitool for a network; its stdout is this function's. An error begins with the name
# of the network.
call() {
  local command=$1 index=$2
  shift 2
  local arguments=("$command" "${files[index]}" "$netns" --container-id "$container_id" --ifname "eth$index" --cache-dir "$state")
  trace "+ CNI_COMMAND=${command^^} CNI_CONTAINERID=$container_id CNI_NETNS=$netns CNI_IFNAME=eth$index cnitool ${arguments[*]}" \
    "$(<"${files[index]}")"
  {
    "$CNITOOL" "${arguments[@]}" "$@" 2>&1 >&3 | sed -E "
      s/^cnitool: /${names[index]:-${files[index]##*/}} : error executing ${command^^}: /
      s/plugin type=\"([^\"]*)\"[^:]* failed \((add|delete)\): /plugin \1: /g
      s/; plugin \"[^\"]*\", network \"[^\"]*\", container \"[^\"]*\", interface \"[^\"]*\"//g" >&2
  } 3>&1
}

# read_networks FOLDER: puts the files in $files, by index; their networks' names come into $names as far as they are known.
files=() names=()
read_networks() { mapfile -d '' files < <(network_files "$1"); }

# keep_networks: copies the folder's files, and those of its folders, which may hold plugins of a network.
keep_networks() {
  mkdir "$state/networks"
  (
    cd "$NETCONFPATH"
    find -L . -maxdepth 2 -type f \( -name '*.conf' -o -name '*.json' -o -name '*.conflist' \) -exec \
      cp --parents --target-directory="$state/networks" {} +
  )
}

# check_networks: whether all networks can be read, and their plugins are there, before the first is called.
check_networks() {
  local i plan
  for i in "${!files[@]}"; do
    plan=$(call add "$i" --dry-run) || {
      echo "$(basename "$0"): ${files[i]} is not a network that can be attached" >&2
      return 1
    }
    names[i]=${plan%% *}
  done
}

add_all() {
  local i
  for i in "${!files[@]}"; do
    # cnitool takes back what it has begun.
    call add "$i" "${timing[@]}" >"$state/$i.result" || { rm -f "$state/$i.result"; return 1; }
    trace "$(<"$state/$i.result")"
    # Between two networks is a good moment to stop.
    [[ -z $interrupted ]] || return 1
  done
}

# del_all: those that add noted, or all if it left no note.
del_all() {
  local i failed=0
  for ((i = ${#files[@]} - 1; i >= 0; i--)); do
    [[ ! -d $state || -e $state/$i.result ]] || continue
    call del "$i" --keep-going "${timing[@]}" || failed=1
  done
  # After an error the notes stay, for another try.
  [[ $failed -ne 0 ]] || rm -rf "$state"
  return "$failed"
}

if [[ $verb == del ]]; then
  # What has begun to go should be gone; children inherit that they do not listen.
  trap '' INT TERM HUP
  if [[ -d $state/networks ]]; then
    read_networks "$state/networks"
    mapfile -t names <"$state/names"
  else
    choose_networks
    read_networks "$NETCONFPATH"
  fi
  del_all
  exit
fi

choose_networks
read_networks "$NETCONFPATH"
check_networks
install -d -m 0700 "$results"
if ! mkdir "$state"; then
  echo "$(basename "$0"): $container_id is attached already; del comes first" >&2
  exit 1
fi
interrupted=
trap 'interrupted=130' INT
trap 'interrupted=143' TERM
trap 'interrupted=129' HUP
keep_networks
printf '%s\n' "${names[@]}" >"$state/names"
read_networks "$state/networks"
if ! add_all; then
  trap '' INT TERM HUP
  del_all || true
  exit "${interrupted:-1}"
fi
